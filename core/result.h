#pragma once

#include <string>
#include <utility>
#include <variant>

#include "core/types.h"

namespace gossamer {

// What a peer can do to us. These are normal events, never exceptions.
enum class FaultKind { timeout, disconnected, malformed };

struct Fault {
  FaultKind kind;
  std::string reason;
  Rank peer = -1;  // whose fault, where the transport knows
};

inline Fault malformed(std::string reason) { return {FaultKind::malformed, std::move(reason)}; }

// A value, or the fault of a peer that kept us from having one.
template <class T>
class [[nodiscard]] Result {
 public:
  Result(T value) : state_(std::in_place_index<0>, std::move(value)) {}      // NOLINT: implicit on purpose
  Result(Fault fault) : state_(std::in_place_index<1>, std::move(fault)) {}  // NOLINT: implicit on purpose

  bool ok() const noexcept { return state_.index() == 0; }
  explicit operator bool() const noexcept { return ok(); }

  // Requires ok().
  T& value() & { return std::get<0>(state_); }
  const T& value() const& { return std::get<0>(state_); }
  T&& value() && { return std::get<0>(std::move(state_)); }

  T value_or(T fallback) && { return ok() ? std::get<0>(std::move(state_)) : std::move(fallback); }

  // Requires !ok().
  const Fault& fault() const { return std::get<1>(state_); }

 private:
  std::variant<T, Fault> state_;
};

}  // namespace gossamer

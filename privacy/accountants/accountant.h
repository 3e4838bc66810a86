#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "core/registry.h"

namespace gossamer {

enum class NoiseKind : std::uint32_t {
  gaussian = 1,
  laplace = 2,
  pure = 3,  // whatever is (1 / noise_multiplier)-differentially private
};
const char* name_of(NoiseKind noise) noexcept;

inline constexpr double kLeastNoiseMultiplier = 1e-3;  // that is accounted for: less is as good as none

// `steps` releases of a sum, each of which one record (an example or a client) changes by at most 1, in the
// L2 norm under Gaussian and in the L1 norm under Laplace noise; or any releases that are `pure`.
struct PrivacyEvent {
  NoiseKind mechanism = NoiseKind::gaussian;
  double noise_multiplier = 1;  // standard deviation; of Laplace noise its scale; pure: 1 / epsilon
  double sampling_rate = 1;     // each record takes part with this probability, independently (Poisson)
  std::uint64_t steps = 1;
};

// What releases have cost so far, under add-or-remove-one adjacency. Every figure is an upper bound. Holds a
// ledger of events and no noise: add() and save() come before what they account for is released. Not
// thread-safe.
class PrivacyAccountant {
 public:
  virtual ~PrivacyAccountant() = default;

  // Throws ConfigError where a number of the event has no meaning.
  void add(const PrivacyEvent& event);
  // The least epsilon, at this delta, that is known to hold. 0 <= epsilon, infinite where there is none.
  // Requires 0 < delta < 1.
  virtual double epsilon(double delta) const = 0;
  // The least delta, at this epsilon, that is known to hold. Requires epsilon >= 0.
  virtual double delta(double epsilon) const = 0;
  // How the epsilon at this delta came about, in a few words.
  virtual std::string explain(double delta) const = 0;

  // In order; equal events that follow one another are one.
  const std::vector<PrivacyEvent>& ledger() const noexcept { return ledger_; }
  std::vector<std::byte> save() const;
  // Takes the place of what was there. Throws FileError, and changes nothing, where these are not the bytes
  // of a ledger.
  void restore(std::span<const std::byte> bytes);

 private:
  virtual void spend(const PrivacyEvent&) {}  // an event that was added to the ledger
  virtual void forget() {}                    // all of them

  std::vector<PrivacyEvent> ledger_;
};

const Registry<PrivacyAccountant>& accountants();

}  // namespace gossamer

#include "client/state_spill.h"

#include <algorithm>

namespace gossamer {
namespace {

// Each vector of a state, in the order of StateSpill::lengths().
template <class State, class Visit>
void for_each_vector(State& state, const Visit& visit) {
  for (auto& values : state.training) visit(values);
  visit(state.compression);
}

}  // namespace

void StateSpill::put(ClientId client, const ClientState& state) {
  Slot slot;
  for_each_vector(state, [&](const FloatBuffer& values) { slot.lengths.push_back(values.size()); });
  slot.bytes = bytes_of(state);
  std::vector<std::uint64_t>& free = free_[slot.bytes];
  if (free.empty()) {
    free.push_back(end_);
    end_ += slot.bytes;
  }
  slot.offset = free.back();
  std::uint64_t at = slot.offset;
  for_each_vector(state, [&](const FloatBuffer& values) {
    const auto bytes = std::as_bytes(std::span(values));
    file_.write(at, bytes);
    at += bytes.size();
  });
  free.pop_back();
  written_ += slot.bytes;
  slots_.emplace(client, std::move(slot));
}

ClientState StateSpill::read(ClientId client) const {
  const Slot& slot = slots_.at(client);
  ClientState state;
  state.training.resize(slot.lengths.size() - 1);
  std::uint64_t at = slot.offset;
  auto length = slot.lengths.begin();
  for_each_vector(state, [&](FloatBuffer& values) {
    values.resize(*length++);
    const auto bytes = std::as_writable_bytes(std::span(values));
    file_.read(at, bytes);
    at += bytes.size();
  });
  return state;
}

void StateSpill::drop(ClientId client) {
  const auto slot = slots_.extract(client);
  free_[slot.mapped().bytes].push_back(slot.mapped().offset);
}

void StateSpill::stream(ClientId client, std::size_t vector,
                        const std::function<void(std::span<const std::byte>)>& sink) const {
  constexpr std::uint64_t kPiece = std::uint64_t{1} << 20U;
  const Slot& slot = slots_.at(client);
  std::uint64_t at = slot.offset;
  for (std::size_t i = 0; i < vector; ++i) at += slot.lengths[i] * sizeof(float);
  const std::uint64_t end = at + slot.lengths[vector] * sizeof(float);
  ByteBuffer piece(std::min(kPiece, end - at));
  while (at < end) {
    const auto part = std::span(piece).first(std::min<std::uint64_t>(piece.size(), end - at));
    file_.read(at, part);
    sink(part);
    at += part.size();
  }
}

}  // namespace gossamer

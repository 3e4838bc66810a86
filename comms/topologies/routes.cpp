#include "comms/topologies/routes.h"

#include <algorithm>
#include <cstring>

#include "core/simd.h"

namespace gossamer {
namespace {

// A float from anywhere; compilers make unaligned vector loads of a loop over it.
inline float load(const std::byte* from, std::size_t index) noexcept {
  float value = 0;
  std::memcpy(&value, from + index * sizeof(float), sizeof(value));
  return value;
}

GOSSAMER_MULTIVERSION
void add(float* __restrict values, const std::byte* __restrict in, std::size_t count) noexcept {
  for (std::size_t i = 0; i < count; ++i) values[i] += load(in, i);
}

GOSSAMER_MULTIVERSION
void add_with_held(float* __restrict values, const float* __restrict held, const std::byte* __restrict in,
                   std::size_t count) noexcept {
  for (std::size_t i = 0; i < count; ++i) values[i] = (held[i] + load(in, i)) + values[i];
}

}  // namespace

std::size_t chunk_size(std::size_t count, int chunks) noexcept {
  constexpr std::size_t kAlignment = 16;  // a cache line of floats
  const auto parts = static_cast<std::size_t>(chunks);
  return ((count + parts - 1) / parts + kAlignment - 1) / kAlignment * kAlignment;
}

ChunkRange chunk_range(std::size_t count, std::size_t size, int chunk) noexcept {
  const std::size_t begin = std::min(count, size * static_cast<std::size_t>(chunk));
  return {begin, std::min(size, count - begin)};
}

void combine_into(std::span<float> values, std::span<float> held, std::span<const std::byte> in,
                  Combine combine) noexcept {
  if (in.empty()) return;
  switch (combine) {
    case Combine::copy:
      std::memcpy(values.data(), in.data(), in.size());
      break;
    case Combine::add:
      add(values.data(), in.data(), values.size());
      break;
    case Combine::hold:
      std::memcpy(held.data(), in.data(), in.size());
      break;
    case Combine::add_to_held:
      add(held.data(), in.data(), values.size());
      break;
    case Combine::add_with_held:
      add_with_held(values.data(), held.data(), in.data(), values.size());
      break;
  }
}

}  // namespace gossamer

#include "compression/sparse_floats.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <functional>
#include <memory>

#include "compression/large_values.h"
#include "compression/sparse_indices.h"

namespace gossamer {
namespace {

// A threshold is guessed from so many values, in runs of a cache line.
constexpr std::size_t kSampled = 1U << 16U;
constexpr std::size_t kRun = 16;

// A magnitude that rather more than k of n values are likely to have; value_at() is a function of the index.
template <class ValueAt>
float guess_threshold(std::size_t n, const ValueAt& value_at, std::size_t k, float* scratch) {
  const std::size_t runs = std::max<std::size_t>(1, std::min(n, kSampled) / kRun);
  std::size_t count = 0;
  for (std::size_t run = 0; run < runs; ++run) {
    const std::size_t begin = n / runs * run;
    const std::size_t end = std::min(n, begin + std::min(kRun, n / runs));
    for (std::size_t i = begin; i < end; ++i) scratch[count++] = std::abs(value_at(i));
  }
  const double expected = static_cast<double>(k) * static_cast<double>(count) / static_cast<double>(n);
  const auto rank = static_cast<std::size_t>(expected + 3 * std::sqrt(expected) + 2);
  if (rank >= count) return 0;
  std::nth_element(scratch, scratch + rank, scratch + count, std::greater<>());
  return std::isfinite(scratch[rank]) ? scratch[rank] : 0;
}

float float_at(const std::byte* bytes) noexcept {
  float value;
  std::memcpy(&value, bytes, sizeof value);
  return value;
}

// Where a choice is made, in the memory that it is given.
struct Workplace {
  Workplace(std::span<std::byte> room, std::size_t n) {
    void* begin = room.data();
    std::size_t bytes = room.size();
    const std::size_t list = n + kListPadding;
    listed = static_cast<float*>(std::align(alignof(float), 3 * list * sizeof(float), begin, bytes));
    magnitudes = listed + list;
    indices = reinterpret_cast<std::uint32_t*>(magnitudes + list);
  }
  float *listed, *magnitudes;
  std::uint32_t* indices;
};

// Of `count` values that are listed with a threshold, or of all where these are fewer than k, the k largest.
std::optional<SparseFloats> choose_of_listed(const Workplace& work, std::size_t count, float threshold,
                                             std::span<const float> values, float* residual, std::size_t k) {
  while (count < k) {
    threshold = threshold > 1e-30F ? threshold / 2 : 0;
    count = list_large_values(values.data(), nullptr, values.size(), threshold, work.indices, work.listed);
  }
  if (count == SIZE_MAX) return std::nullopt;

  // The k-th largest magnitude; then all above it, and as many equal ones as there is room for.
  float *const listed = work.listed, *const magnitudes = work.magnitudes;
  for (std::size_t i = 0; i < count; ++i) magnitudes[i] = std::abs(listed[i]);
  std::nth_element(magnitudes, magnitudes + (k - 1), magnitudes + count, std::greater<>());
  const float least = magnitudes[k - 1];
  std::size_t equal = k;
  for (std::size_t i = 0; i + 1 < k; ++i) equal -= magnitudes[i] > least ? 1 : 0;
  std::size_t chosen = 0;
  for (std::size_t i = 0; i < count; ++i) {
    const float magnitude = std::abs(listed[i]);
    if (magnitude < least || (magnitude == least && equal == 0)) continue;
    if (magnitude == least) --equal;
    listed[chosen] = listed[i];
    work.indices[chosen++] = work.indices[i];
  }
  if (residual != nullptr) {
    for (std::size_t i = 0; i < k; ++i) residual[work.indices[i]] = 0;
  }
  return SparseFloats{{work.indices, k}, {listed, k}};
}

}  // namespace

std::size_t kept_values(double density, std::size_t floats) noexcept {
  const auto share = static_cast<std::size_t>(std::llround(density * static_cast<double>(floats)));
  return std::clamp<std::size_t>(share, 1, floats);
}

std::size_t choice_bytes(std::size_t floats) noexcept {
  return alignof(float) + 3 * (floats + kListPadding) * sizeof(float);
}

std::optional<SparseFloats> choose_largest(std::span<const float> values, float* residual, std::size_t k,
                                           std::span<std::byte> room) {
  const std::size_t n = values.size();
  const Workplace work(room, n);
  const auto value_at = [&](std::size_t i) {
    return residual == nullptr ? values[i] : values[i] + residual[i];
  };
  const float threshold = guess_threshold(n, value_at, k, work.magnitudes);
  const std::size_t count =
      list_large_values(values.data(), residual, n, threshold, work.indices, work.listed);
  if (residual != nullptr) values = {residual, n};
  return choose_of_listed(work, count, threshold, values, residual, k);
}

std::optional<ChosenVelocities> choose_largest(std::span<const float> values, const Momentum& momentum,
                                               float* residual, std::size_t k, std::span<std::byte> room) {
  const std::size_t n = values.size();
  const Workplace work(room, n);
  const auto value_at = [&](std::size_t i) {
    return momentum.factor * momentum.velocity[i] + momentum.scale * values[i] + residual[i];
  };
  const float threshold = guess_threshold(n, value_at, k, work.magnitudes);
  const LargeValues large =
      list_large_values(values.data(), momentum, residual, n, threshold, work.indices, work.listed);
  const auto largest = choose_of_listed(work, large.count, threshold, {residual, n}, residual, k);
  if (!largest) return std::nullopt;
  return ChosenVelocities{*largest, large.cancelled};
}

std::size_t most_sparse_bytes(std::size_t floats, std::size_t k) noexcept {
  return IndexCode(floats, k).most_bytes() + k * sizeof(float);
}

std::size_t write_sparse(const SparseFloats& chosen, std::size_t floats, std::byte* out) noexcept {
  const std::size_t k = chosen.indices.size();
  const std::size_t length = IndexCode(floats, k).encode(chosen.indices, out);
  std::memcpy(out + length, chosen.values.data(), k * sizeof(float));
  return length + k * sizeof(float);
}

bool is_valid_sparse(std::span<const std::byte> payload, std::size_t floats, std::size_t k) noexcept {
  if (payload.size() < k * sizeof(float)) return false;
  const std::size_t index_bytes = payload.size() - k * sizeof(float);
  const IndexCode code(floats, k);
  IndexCode::Reader reader(code, payload.first(index_bytes));
  for (std::size_t i = 0; i < k; ++i) {
    if (!reader.next()) return false;
  }
  if (!reader.is_at_end()) return false;
  for (std::size_t i = 0; i < k; ++i) {
    if (!std::isfinite(float_at(payload.data() + index_bytes + i * sizeof(float)))) return false;
  }
  return true;
}

void add_sparse(std::span<const std::byte> payload, std::size_t k, float weight,
                std::span<float> sum) noexcept {
  const IndexCode code(sum.size(), k);
  const std::size_t index_bytes = payload.size() - k * sizeof(float);
  IndexCode::Reader reader(code, payload.first(index_bytes));
  // In portions, whose places in the sum are asked for before they are used.
  std::array<std::uint32_t, 64> indices;
  for (std::size_t begin = 0; begin < k; begin += indices.size()) {
    const std::size_t count = std::min(indices.size(), k - begin);
    for (std::size_t i = 0; i < count; ++i) {
      indices[i] = *reader.next();
      __builtin_prefetch(&sum[indices[i]], 1);
    }
    for (std::size_t i = 0; i < count; ++i)
      sum[indices[i]] += weight * float_at(payload.data() + index_bytes + (begin + i) * sizeof(float));
  }
}

}  // namespace gossamer

#pragma once

// What every all-reduce promises, over any link. A body runs once a rank, all at the same time.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <map>
#include <mutex>
#include <span>
#include <string>
#include <tuple>
#include <typeinfo>
#include <vector>

#include "comms/collectives/all_reduce.h"
#include "comms/topologies/topology.h"
#include "core/buffers.h"
#include "core/options.h"

namespace gossamer {

using namespace std::chrono_literals;

// Long enough for a loaded machine; a test that waits for it has failed.
inline AllReduce::Clock::time_point all_reduce_deadline() { return AllReduce::Clock::now() + 60s; }

inline std::unique_ptr<Topology> make_topology(const std::string& name,
                                               const std::map<std::string, std::string>& keys = {}) {
  auto schema = std::make_shared<OptionSchema>();
  schema->add(integer_option("run.seed", 1, ""));
  add_methods(*schema, topologies().describe());
  Options options(schema);
  options.set("topology.name", name);
  for (const auto& [key, value] : keys) options.set(key, value);
  return topologies().make(options);
}

// Element i of a rank's vector: both signs, magnitudes over five orders, different in every rank and round.
inline float element(Rank rank, std::size_t i, int round) {
  std::uint64_t bits = (i + 1) * 0x9E3779B97F4A7C15U +
                       static_cast<std::uint64_t>(rank + 1) * 0xD1B54A32D192ED03U +
                       static_cast<std::uint64_t>(round) * 0x8CB92BA72F3D8DD7U;
  bits = (bits ^ (bits >> 29U)) * 0xBF58476D1CE4E5B9U;
  bits ^= bits >> 32U;
  const float mantissa = static_cast<float>(bits >> 40U) * 0x1p-24F - 0.5F;
  return mantissa * static_cast<float>(1U << (bits & 15U));
}

inline FloatBuffer vector_of(Rank rank, std::size_t count, int round) {
  FloatBuffer values(count);
  for (std::size_t i = 0; i < count; ++i) values[i] = element(rank, i, round);
  return values;
}

// Each element is within p * u * sum |x| of the sum in float64, u = 2^-24.
inline void expect_sum(std::span<const float> sum, int world_size, int round) {
  const double unit = world_size * 0x1p-24;
  for (std::size_t i = 0; i < sum.size(); ++i) {
    double exact = 0, magnitude = 0;
    for (Rank rank = 0; rank < world_size; ++rank) {
      const double x = element(rank, i, round);
      exact += x;
      magnitude += std::abs(x);
    }
    if (!(std::abs(sum[i] - exact) <= unit * magnitude)) {
      FAIL() << "element " << i << " of " << sum.size() << " is " << sum[i] << " instead of " << exact;
    }
  }
}

// The sum of all ranks' vectors as the routes give it in one process. Computed once for all threads.
inline const FloatBuffer& sum_in_process(const Topology& topology, std::size_t count, int world_size,
                                         int round) {
  static std::mutex mutex;
  static std::map<std::tuple<std::string, std::size_t, int, int>, FloatBuffer> sums;
  const std::lock_guard lock(mutex);
  const auto [entry, is_new] = sums.try_emplace({typeid(topology).name(), count, world_size, round});
  if (is_new) {
    std::vector<FloatBuffer> vectors;
    for (Rank rank = 0; rank < world_size; ++rank) vectors.push_back(vector_of(rank, count, round));
    all_reduce_in_process(topology, std::vector<std::span<float>>(vectors.begin(), vectors.end()));
    for (const FloatBuffer& vector : vectors) {
      EXPECT_TRUE(count == 0 || std::memcmp(vector.data(), vectors[0].data(), count * sizeof(float)) == 0);
    }
    entry->second = std::move(vectors[0]);
  }
  return entry->second;
}

// The bits are those of the routes run in one process, so they are the same on every rank.
inline void expect_bits_of(const Topology& topology, std::span<const float> sum, int world_size, int round) {
  const FloatBuffer& expected = sum_in_process(topology, sum.size(), world_size, round);
  EXPECT_TRUE(sum.empty() || std::memcmp(sum.data(), expected.data(), sum.size_bytes()) == 0)
      << sum.size() << " elements of " << world_size << " ranks";
}

inline std::vector<std::size_t> awkward_sizes(int world_size) {
  const auto p = static_cast<std::size_t>(world_size);
  return {0, 1, p - 1, p, p + 1, 1009, 10'007, 100'003, 400'009};
}

// One sum after the other, of every awkward size. `topology` may be null: then the bits are not compared.
inline void sum_awkward_sizes(AllReduce& all_reduce, const Topology* topology) {
  int round = 0;
  for (const std::size_t size : awkward_sizes(all_reduce.world_size())) {
    FloatBuffer values = vector_of(all_reduce.self(), size, ++round);
    const auto done = all_reduce.all_reduce(values, all_reduce_deadline());
    ASSERT_TRUE(done.ok()) << done.fault().reason;
    expect_sum(values, all_reduce.world_size(), round);
    if (topology != nullptr) expect_bits_of(*topology, values, all_reduce.world_size(), round);
  }
}

// Gathers of every awkward size, with sums under way beside them, in shares that hold the vector exactly and
// in longer ones.
inline void gather_awkward_sizes(AllReduce& all_reduce) {
  const auto ranks = static_cast<std::size_t>(all_reduce.world_size());
  for (const std::size_t size : awkward_sizes(all_reduce.world_size())) {
    for (const std::size_t share : {(size + ranks - 1) / ranks, size / ranks + 7, size}) {
      // Each rank knows its own share, and what holds anything elsewhere is overwritten.
      FloatBuffer values(size, std::numeric_limits<float>::quiet_NaN());
      const auto owner = [&](std::size_t i) { return static_cast<Rank>(i / share); };
      for (std::size_t i = 0; i < size; ++i) {
        if (owner(i) == all_reduce.self()) values[i] = element(owner(i), i, 0);
      }
      FloatBuffer sum = vector_of(all_reduce.self(), 5000, 1);
      all_reduce.start_gather(values, share);
      all_reduce.start(sum);
      const auto done = all_reduce.finish(all_reduce_deadline());
      ASSERT_TRUE(done.ok()) << done.fault().reason;
      for (std::size_t i = 0; i < size; ++i)
        ASSERT_EQ(values[i], element(owner(i), i, 0)) << i << " of " << size;
      expect_sum(sum, all_reduce.world_size(), 1);
    }
  }
  FloatBuffer values(ranks + 1);
  EXPECT_THROW(all_reduce.start_gather(values, 1), std::logic_error);
}

// The largest vector. What the other ranks hold is recomputed, not kept.
inline void sum_large_vector(AllReduce& all_reduce) {
  FloatBuffer values = vector_of(all_reduce.self(), 25'600'000, 1);
  const auto done = all_reduce.all_reduce(values, all_reduce_deadline());
  ASSERT_TRUE(done.ok()) << done.fault().reason;
  expect_sum(values, all_reduce.world_size(), 1);
}

// Several sums under way at once, started one by one with progress in between, as buckets of gradients are.
inline void sum_buckets(AllReduce& all_reduce, const Topology* topology) {
  const std::vector<std::size_t> sizes{100'003, 1, 0, 40'000, 3, 65'536, 1000};
  for (int step = 0; step < 3; ++step) {
    std::vector<FloatBuffer> buckets;
    std::size_t complete = 0;
    for (std::size_t i = 0; i < sizes.size(); ++i) {
      buckets.push_back(vector_of(all_reduce.self(), sizes[i], static_cast<int>(i)));
    }
    for (FloatBuffer& bucket : buckets) {
      all_reduce.start(bucket);
      const auto progress = all_reduce.progress();
      ASSERT_TRUE(progress.ok()) << progress.fault().reason;
      EXPECT_GE(progress.value(), complete);
      complete = progress.value();
    }
    for (std::size_t i = 0; i < sizes.size(); ++i) {
      const auto done = all_reduce.wait(i + 1, all_reduce_deadline());
      ASSERT_TRUE(done.ok()) << done.fault().reason;
      expect_sum(buckets[i], all_reduce.world_size(), static_cast<int>(i));
      if (topology != nullptr)
        expect_bits_of(*topology, buckets[i], all_reduce.world_size(), static_cast<int>(i));
    }
    ASSERT_TRUE(all_reduce.finish(all_reduce_deadline()).ok());
  }
}

}  // namespace gossamer

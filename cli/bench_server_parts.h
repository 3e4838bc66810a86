#pragma once

#include <algorithm>
#include <chrono>
#include <nlohmann/json.hpp>
#include <vector>

#include "core/buffers.h"
#include "core/options.h"

namespace gossamer {

// The three measurements of `gossamer bench server`: each prints its table and adds its rows.
using BenchRows = nlohmann::ordered_json;

// Models and updates of 40 MB over tcp, beside plain ZeroMQ (bench_transfer.cpp; only with ZeroMQ).
void measure_transfers(BenchRows& rows);
// The mean of 100 updates, beside a triad's bandwidth (bench_aggregation.cpp).
void measure_aggregation(const Options& defaults, BenchRows& rows);
// Events a second of the queue of virtual time (bench_virtual_time.cpp).
void measure_virtual_time(const Options& defaults, BenchRows& rows);

inline double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

inline double median_of(std::vector<double> values) {
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::ranges::nth_element(values, middle);
  return *middle;
}

// Floats that a decoder takes, and that no page shares.
inline SharedFloats bench_floats(std::size_t count, float from) {
  FloatBuffer values(count);
  for (std::size_t i = 0; i < count; ++i) values[i] = from + static_cast<float>(i % 1024);
  return SharedFloats::of(std::move(values));
}

}  // namespace gossamer

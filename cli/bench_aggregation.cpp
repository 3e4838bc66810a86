// The mean of many updates, beside the memory bandwidth that a triad has.
#include <cstdio>
#include <optional>

#include "cli/bench_server_parts.h"
#include "comms/codec.h"
#include "compression/compressor.h"
#include "core/error.h"
#include "core/simd.h"
#include "server/aggregators/aggregator.h"

namespace gossamer {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::size_t kUpdates = 100;
constexpr std::size_t kParameters = 1'663'370;
constexpr std::size_t kTriadFloats = std::size_t{1} << 25U;
constexpr int kAggregations = 9;

GOSSAMER_MULTIVERSION
void triad(float* __restrict a, const float* __restrict b, const float* __restrict c, float s,
           std::size_t n) {
  for (std::size_t i = 0; i < n; ++i) a[i] = b[i] + s * c[i];
}

// The update as its receiver's aggregator gets it.
Compressed arrived(const CompressedUpdate& update) {
  const auto received = pass_through(encode_update(0, update));
  if (!received) throw RunError("bench server: " + received.fault().reason);
  auto decoded = decode_update(received.value());
  if (!decoded) throw RunError("bench server: " + decoded.fault().reason);
  return std::move(decoded).value().content;
}

}  // namespace

void measure_aggregation(const Options& defaults, BenchRows& rows) {
  const auto aggregator = aggregators().make(defaults);
  const auto compressor = make_no_compressor(kParameters);
  std::vector<Compressed> updates;
  for (std::size_t k = 0; k < kUpdates; ++k) {
    const SharedFloats values = bench_floats(kParameters, static_cast<float>(k));
    CompressedUpdate update;
    update.content = {values.size(), {values.owner, std::as_bytes(values.values)}};
    updates.push_back(arrived(update));
  }
  FloatBuffer mean(kParameters);
  FloatBuffer a(kTriadFloats), b(kTriadFloats), c(kTriadFloats);
  for (FloatBuffer* buffer : {&a, &b, &c}) std::ranges::fill(*buffer, 1.0F);

  std::vector<double> seconds, reference;
  for (int sample = -1; sample < kAggregations; ++sample) {
    Clock::time_point start = Clock::now();
    triad(a.data(), b.data(), c.data(), 0.5F, kTriadFloats);
    const double triad_s = seconds_since(start);
    start = Clock::now();
    aggregator->begin(kParameters);
    for (const Compressed& update : updates) {
      if (!aggregator->accumulate(update, 600, *compressor)) throw RunError("bench server: a refused update");
    }
    aggregator->finish(mean, std::nullopt);
    const double aggregation_s = seconds_since(start);
    if (sample < 0) continue;
    reference.push_back(triad_s);
    seconds.push_back(aggregation_s);
  }
  // What cannot be avoided: every update is read, and the mean is written.
  const std::size_t bytes = (kUpdates + 1) * kParameters * sizeof(float);
  const double rate = static_cast<double>(bytes) * 1e-9 / median_of(seconds);
  const double bandwidth = 3e-9 * static_cast<double>(kTriadFloats * sizeof(float)) / median_of(reference);
  std::printf(
      "\nThe mean of %zu updates of %zu floats: each read once and the mean written, beside a triad's "
      "bandwidth.\n\n%-12s %8s %12s %9s %8s %10s %7s\n%-12s %8zu %12zu %9.2f %8.3f %10.3f %7.2f\n",
      kUpdates, kParameters, "case", "updates", "bytes", "ms", "GB/s", "triad GB/s", "ratio", "aggregation",
      kUpdates, bytes, median_of(seconds) * 1e3, rate, bandwidth, rate / bandwidth);
  rows.push_back({{"case", "aggregation"},
                  {"workers", kUpdates},
                  {"bytes", bytes},
                  {"aggregation_ms", median_of(seconds) * 1e3},
                  {"gb_s", rate},
                  {"reference_gb_s", bandwidth},
                  {"ratio", rate / bandwidth}});
}

}  // namespace gossamer

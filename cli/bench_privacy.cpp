#include "cli/bench_privacy.h"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <fstream>
#include <functional>
#include <nlohmann/json.hpp>
#include <vector>

#include "core/buffers.h"
#include "core/error.h"
#include "privacy/noise/noise.h"

namespace gossamer {
namespace {

constexpr std::size_t kElements = 25'000'000;
constexpr int kRepeats = 7;
constexpr std::size_t kStretchBytes = 8192;  // that noise draws at a time

double milliseconds_of(const std::function<void()>& work) {
  const auto start = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count();
}

double median_of(std::vector<double> times) {
  std::ranges::sort(times);
  return times[times.size() / 2];
}

}  // namespace

int bench_privacy(const CommandLine& line) {
  std::ofstream json;
  if (const auto given = line.extra.find("json"); given != line.extra.end()) {
    json.open(given->second);
    if (!json) throw ConfigError("--json " + given->second + ": cannot be written");
  }
  const auto source = make_secure_noise_source();
  FloatBuffer values(kElements);
  std::ranges::fill(values, 0.25F);
  std::vector<std::byte> stretch(kStretchBytes);
  std::vector<double> random, gaussian, laplace;
  for (int repeat = 0; repeat < kRepeats; ++repeat) {
    random.push_back(milliseconds_of([&] {
      for (std::size_t drawn = 0; drawn < kElements * kNoiseBytes; drawn += kStretchBytes)
        source->fill(stretch);
    }));
    gaussian.push_back(milliseconds_of([&] { add_gaussian_noise(values, 1, *source); }));
    laplace.push_back(milliseconds_of([&] { add_laplace_noise(values, 1, *source); }));
  }
  const double random_ms = median_of(random);
  auto rows = nlohmann::ordered_json::array();
  std::printf("%-10s %10s %12s %10s %10s %7s\n", "noise", "elements", "random_bytes", "random_ms", "noise_ms",
              "ratio");
  for (const auto& [name, times] : {std::pair("gaussian", gaussian), std::pair("laplace", laplace)}) {
    const double noise_ms = median_of(times);
    rows.push_back({{"noise", name},
                    {"elements", kElements},
                    {"random_bytes", kElements * kNoiseBytes},
                    {"random_ms", random_ms},
                    {"noise_ms", noise_ms},
                    {"ratio", noise_ms / random_ms}});
    std::printf("%-10s %10zu %12zu %10.1f %10.1f %7.2f\n", name, kElements, kElements * kNoiseBytes,
                random_ms, noise_ms, noise_ms / random_ms);
  }
  if (json.is_open()) json << rows.dump(2) << '\n';
  return 0;
}

}  // namespace gossamer

#pragma once

#include <cmath>
#include <cstdint>
#include <limits>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "compression/compressor.h"
#include "compression/cuda/plan.h"

// What the kernels for CUDA are compared with those for the processor on, by loops in the place of threads
// (cuda_jobs_test.cpp) and on a GPU (cuda_test.cpp).
namespace gossamer::cuda {

struct DeviceCase {
  std::string method;
  std::vector<std::pair<std::string, std::string>> keys;
  std::int64_t round = 0;  // of the first message
};

inline const std::vector<DeviceCase>& device_cases() {
  static const std::vector<DeviceCase> all{
      {"fp16", {}},
      {"bf16", {}},
      {"int8", {}},
      {"int8", {{"compression.int8.rounding", "stochastic"}}},
      {"one_bit", {}},
      {"one_bit", {{"compression.one_bit.block", "4096"}}},
      {"one_bit", {{"compression.one_bit.block", "100"}}},
      {"one_bit", {{"compression.one_bit.block", "20000"}}},
      {"terngrad", {}},
      {"terngrad", {{"compression.terngrad.clip", "0"}}},
      {"qsgd", {{"compression.qsgd.bits", "2"}}},
      {"qsgd", {{"compression.qsgd.bits", "2"}, {"compression.qsgd.norm", "l2"}}},
      {"qsgd", {{"compression.qsgd.bits", "4"}}},
      {"qsgd", {{"compression.qsgd.bits", "4"}, {"compression.qsgd.norm", "l2"}}},
      {"qsgd", {{"compression.qsgd.bits", "8"}}},
      {"qsgd", {{"compression.qsgd.bits", "8"}, {"compression.qsgd.norm", "l2"}}},
      {"top_k", {{"compression.top_k.density", "0.001"}}},
      {"top_k", {{"compression.top_k.density", "0.01"}}},
      {"top_k", {{"compression.top_k.density", "0.25"}}},
      {"top_k", {{"compression.top_k.density", "1"}}},
      {"top_k", {{"compression.top_k.density", "0.1"}, {"compression.momentum_correction", "on"}}},
      {"dgc", {}},
      {"dgc", {}, 4},
      {"dgc", {{"compression.dgc.density", "0.01"}, {"compression.dgc.warmup_rounds", "0"}}},
      {"dgc", {{"compression.dgc.density", "1"}}},
      {"dgc", {{"compression.dgc.density", "1"}, {"compression.factor_masking", "on"}}},
      {"dgc", {{"compression.nesterov", "true"}, {"compression.factor_masking", "on"}}, 3},
      {"dgc", {{"compression.nesterov", "true"}, {"compression.factor_masking", "off"}}},
      {"dgc", {{"compression.local_clip", "3"}, {"compression.dgc.density", "0.05"}}, 2},
      {"dgc", {{"compression.momentum_correction", "off"}}},
      {"adacomp", {}},
      {"adacomp", {{"compression.adacomp.density", "0.2"}, {"compression.momentum_correction", "on"}}},
      {"adacomp", {{"compression.adacomp.staleness", "false"}}},
      {"esgd", {}},
      {"esgd", {{"compression.esgd.density", "0.003"}, {"compression.esgd.momentum", "1"}}},
      {"threshold", {{"compression.threshold.tau", "0.01"}}},
      {"threshold", {{"compression.threshold.tau", "1.5"}}},
      {"threshold", {{"compression.threshold.tau", "1e30"}}},
      {"threshold", {{"compression.threshold.tau", "1e-60"}}},
      {"random_k", {}},
      {"random_k", {{"compression.random_k.density", "1"}, {"compression.error_feedback", "on"}}},
      {"random_mask", {}},
      {"bounded_error", {}},
      {"bounded_error", {{"compression.bounded_error.bound", "1.7"}}},
      {"bounded_error", {{"compression.bounded_error.bound", "0.004"}}},
      {"bounded_error", {{"compression.bounded_error.bound", "0.00003"}}},
      {"bounded_error", {{"compression.bounded_error.bound", "1e-25"}}},
      {"sketched", {}},
      {"sketched", {{"compression.error_feedback", "on"}}},
      {"sketched", {{"compression.sketched.bits", "1"}}},
      {"sketched", {{"compression.sketched.bits", "1"}, {"compression.sketched.rotation", "false"}}},
      {"sketched", {{"compression.sketched.rotation", "false"}, {"compression.error_feedback", "on"}}},
      {"sketched", {{"compression.sketched.bits", "4"}, {"compression.error_feedback", "on"}}},
      {"sketched", {{"compression.sketched.bits", "8"}}},
      {"sketched", {{"compression.sketched.density", "0.3"}, {"compression.sketched.bits", "8"}}},
      {"sketched", {{"compression.sketched.density", "0.6"}, {"compression.error_feedback", "on"}}},
      {"wangni", {}},
      {"wangni", {{"compression.error_feedback", "on"}}},
      {"wangni", {{"compression.wangni.density", "0.6"}}},
      {"wangni", {{"compression.wangni.density", "0.002"}, {"compression.error_feedback", "on"}}},
      {"wangni", {{"compression.wangni.density", "1"}}},
      {"powersgd", {}},
      {"powersgd", {{"compression.error_feedback", "off"}, {"compression.powersgd.rank", "1"}}},
      {"low_rank", {}},
      {"low_rank", {{"compression.error_feedback", "off"}, {"compression.low_rank.rank", "1"}}},
  };
  return all;
}

inline Options options_of(const DeviceCase& one) {
  auto schema = std::make_shared<OptionSchema>();
  add_compression_options(*schema);
  Options options(schema);
  options.set("compression.up", one.method);
  for (const auto& [key, value] : one.keys) options.set(key, value);
  return options;
}

// The name of a parametrised test.
inline std::string name_of(const DeviceCase& one) {
  std::string name = one.method;
  for (const auto& [key, value] : one.keys) name += '_' + key.substr(key.rfind('.') + 1) + '_' + value;
  if (one.round > 0) name += "_round_" + std::to_string(one.round);
  for (char& c : name) {
    if (c == '.' || c == '-') c = '_';
  }
  return name;
}

// Parts of the kernels begin and end at multiples of 16, 512, 2,560, 4,096 and 8,192.
inline const std::vector<std::size_t>& device_lengths() {
  static const std::vector<std::size_t> all{
      1,    2,    3,    4,    5,    7,    8,    9,    15,   16,    17,    31,    33,   63,   64,
      65,   127,  129,  255,  257,  511,  512,  513,  1023, 1025,  2559,  2560,  2561, 4095, 4096,
      4097, 4112, 5003, 5120, 8191, 8192, 8193, 8200, 9000, 12288, 20000, 24601, 40960};
  return all;
}

// As square as it can be: a row where the number is prime, which methods for matrices treat as a vector.
inline std::vector<std::int64_t> device_shape(std::size_t length) {
  auto rows = static_cast<std::size_t>(std::sqrt(static_cast<double>(length)));
  while (rows > 1 && length % rows != 0) --rows;
  if (rows == 0) return {};
  return {static_cast<std::int64_t>(rows), static_cast<std::int64_t>(length / rows)};
}

// A case's method for pieces of a shape: what there are kernels for, and the processor's without and with the
// memories that encode() gives a state to.
struct DeviceMethods {
  DeviceMethods(const DeviceCase& one, std::span<const std::int64_t> shape)
      : options(options_of(one)),
        plan(plan_of(one.method, options, shape).value()),
        host(host_method_of(plan, options)),
        with_state(host_method_of(plan, options)) {
    const bool residual =
        plan.kind == Plan::Kind::powersgd ? plan.memories.residual : !with_state->has_residual();
    with_state = with_memories(std::move(with_state), {residual, plan.memories.momentum});
  }
  DeviceMethods(const DeviceCase& one, std::size_t length) : DeviceMethods(one, device_shape(length)) {}

  // What there is no encoding without.
  bool keeps_something(std::size_t length) const { return host->state_floats(length) > 0; }

  Options options;
  Plan plan;
  std::unique_ptr<Method> host, with_state;
};

// Values as they come, and those that are special: zeros of both signs, denormal numbers, whole blocks of one
// magnitude or of nothing, the largest that there are, nothing but one magnitude, almost nothing but zeros.
enum class Content { normal, special, tiny, huge, equal, scarce };
inline constexpr Content kContents[] = {Content::normal, Content::special, Content::tiny,
                                        Content::huge,   Content::equal,   Content::scarce};

inline FloatBuffer device_values(std::size_t count, Content content, std::uint64_t seed) {
  Rng rng(seed, Purpose::test);
  FloatBuffer floats(count);
  for (std::size_t i = 0; i < count; ++i) {
    float x = static_cast<float>(rng.normal());
    if (content == Content::tiny) x *= i % 3 == 0 ? 1e-44F : 1e-38F;
    if (content == Content::huge) x = std::copysign(i % 2 == 0 ? 3e34F : 1e30F, x);
    if (content == Content::equal) x = std::copysign(0.25F, x);
    if (content == Content::scarce && i % 501 != 7) x = std::copysign(0.0F, x);
    if (content == Content::special) {
      if (i / 700 % 4 == 1) x = std::copysign(0.5F, x);
      if (i / 700 % 4 == 2) x = std::copysign(0.0F, x);
      if (i % 37 == 5) x = std::ldexp(x, static_cast<int>(i % 60) - 45);
      if (i % 41 == 7) x = -0.0F;
    }
    floats[i] = x;
  }
  return floats;
}

}  // namespace gossamer::cuda

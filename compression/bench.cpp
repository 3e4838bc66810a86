#include "compression/bench.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <nlohmann/json.hpp>
#include <ostream>
#include <vector>

#include "compression/methods.h"
#include "core/error.h"
#ifdef GOSSAMER_HAVE_CUDA
#include "compression/cuda/bench.h"
#endif

namespace gossamer {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::size_t kElements = 512UL * 49'920;  // 25.56 M, as many as a ResNet-50 has
constexpr int kSamples = 7;

struct Case {
  std::string row;
  std::vector<std::pair<std::string, std::string>> keys;
  std::unique_ptr<Method> (*make)(const Options&);
  int kept;            // vectors that the sender keeps: 1 with error feedback, 2 with momentum correction too
  int reads;           // of the input: twice where a statistic of all of it comes first
  bool dense = false;  // all values are added, though the payload's length varies
};

// The vector as a matrix.
constexpr std::array<std::int64_t, 2> kShape{49'920, 512};
template <std::unique_ptr<Method> (*make)(const Options&, std::span<const std::int64_t>)>
std::unique_ptr<Method> of_matrix(const Options& options) {
  return make(options, kShape);
}

const std::vector<Case>& cases() {
  static const std::vector<Case> all{
      {"fp16", {{"compression.up", "fp16"}}, make_fp16, 0, 1},
      {"bf16", {{"compression.up", "bf16"}}, make_bf16, 0, 1},
      {"int8", {{"compression.up", "int8"}}, make_int8, 0, 1},
      {"int8_stochastic",
       {{"compression.up", "int8"}, {"compression.int8.rounding", "stochastic"}},
       make_int8,
       0,
       1},
      {"one_bit_ef", {{"compression.up", "one_bit"}}, make_one_bit, 1, 1},
      {"terngrad", {{"compression.up", "terngrad"}}, make_terngrad, 0, 2},
      {"qsgd_4bit", {{"compression.up", "qsgd"}}, make_qsgd, 0, 1},
      {"qsgd_2bit", {{"compression.up", "qsgd"}, {"compression.qsgd.bits", "2"}}, make_qsgd, 0, 1},
      {"top_k_0.001_ef",
       {{"compression.up", "top_k"}, {"compression.top_k.density", "0.001"}},
       make_top_k,
       1,
       1},
      {"dgc_0.001",
       {{"compression.up", "dgc"},
        {"compression.dgc.density", "0.001"},
        {"compression.dgc.warmup_rounds", "0"}},
       make_dgc,
       2,
       1},
      {"wangni_0.1", {{"compression.up", "wangni"}}, make_wangni, 0, 2},
      {"sketched_2bit", {{"compression.up", "sketched"}}, make_sketched, 0, 1},
      {"bounded_error", {{"compression.up", "bounded_error"}}, make_bounded_error, 0, 1, true},
      {"powersgd_rank4",
       {{"compression.up", "powersgd"}, {"compression.error_feedback", "off"}},
       of_matrix<make_powersgd>,
       0,
       2},
      {"powersgd_rank4_ef", {{"compression.up", "powersgd"}}, of_matrix<make_powersgd>, 1, 2},
      {"low_rank_rank4_ef", {{"compression.up", "low_rank"}}, of_matrix<make_low_rank>, 1, 1},
  };
  return all;
}

double seconds_of(const std::function<void()>& work) {
  const auto start = Clock::now();
  work();
  return std::chrono::duration<double>(Clock::now() - start).count();
}

double median(std::vector<double> values) {
  std::ranges::sort(values);
  return values[values.size() / 2];
}

// Bytes read and written a second, by the best copy.
double copy_rate(const FloatBuffer& from, FloatBuffer& to) {
  double best = 1e9;
  for (int sample = 0; sample < 2 * kSamples; ++sample)
    best =
        std::min(best, seconds_of([&] { std::memcpy(to.data(), from.data(), from.size() * sizeof(float)); }));
  return 2.0 * static_cast<double>(from.size() * sizeof(float)) / best;
}

double relative_error(std::span<const float> values, std::span<const float> decoded) {
  double error = 0, size = 0;
  for (std::size_t i = 0; i < values.size(); ++i) {
    const double off = static_cast<double>(decoded[i]) - static_cast<double>(values[i]);
    error += off * off;
    size += static_cast<double>(values[i]) * static_cast<double>(values[i]);
  }
  return std::sqrt(error / size);
}

struct Times {
  std::vector<double> encode, decode, twin_encode, twin_decode;  // seconds a sample
};

FloatBuffer bench_values() {
  Rng rng(1, Purpose::compression);
  FloatBuffer values(kElements);
  for (float& x : values) x = static_cast<float>(0.01 * rng.normal());
  return values;
}

Options options_of_case(const Case& one, const std::shared_ptr<OptionSchema>& schema) {
  Options options(schema);
  for (const auto& [name, value] : one.keys) options.set(name, value);
  return options;
}

// What is not measured of a row follows from the rest.
nlohmann::ordered_json row_of(const Case& one, const std::string& device, double encode_seconds,
                              double decode_seconds, std::size_t length, bool sparse, double error) {
  const double input = static_cast<double>(kElements * sizeof(float)), wire = static_cast<double>(length);
  return {{"method", one.row},
          {"device", device},
          {"elements", kElements},
          {"encode_ms", encode_seconds * 1e3},
          {"decode_add_ms", decode_seconds * 1e3},
          {"encode_gb_s", input / encode_seconds * 1e-9},
          {"wire_bytes", length},
          {"ratio", input / wire},
          {"relative_error", error},
          {"floor_bytes", one.reads * input + 2 * one.kept * input + wire},
          // Of a sparse method only what is kept is added.
          {"decode_floor_bytes", (sparse ? 0 : 2 * input) + wire}};
}

// What all cases share: memory, and the best copy so far.
struct Bench {
  explicit Bench(const MakeTwin& twins) : make_twin(twins), values(bench_values()), sum(kElements) {
    std::ranges::fill(sum, 0.0F);
    rate = copy_rate(values, sum);
    add_compression_options(*schema);
  }

  nlohmann::ordered_json measure(const Case& one);

  const MakeTwin& make_twin;
  FloatBuffer values, sum;
  std::shared_ptr<OptionSchema> schema = std::make_shared<OptionSchema>();
  double rate = 0;
  std::uint64_t key = 0;

 private:
  Times take_samples(const Case& one, const Method& method, CompressionTwin* twin, ByteBuffer& payload,
                     std::size_t& length);
};

std::unique_ptr<Method> with_memory(std::unique_ptr<Method> method, int kept) {
  if (kept > 0) method = make_error_feedback(std::move(method));
  return kept > 1 ? make_momentum_correction(std::move(method), {}) : std::move(method);
}

Times Bench::take_samples(const Case& one, const Method& method, CompressionTwin* twin, ByteBuffer& payload,
                          std::size_t& length) {
  FloatBuffer state(method.state_floats(kElements), 0.0F);
  Times times;
  for (int sample = -1; sample < kSamples; ++sample) {
    const double encoded = seconds_of([&] {
      const auto written = method.encode(values, state, {++key}, payload);
      if (!written) throw RunError("bench compression: " + one.row + " refuses its input");
      length = *written;
    });
    const double decoded = seconds_of([&] {
      if (!method.is_valid(std::span(payload).first(length), kElements))
        throw RunError("bench compression: " + one.row + " refuses its payload");
      method.add(std::span(payload).first(length), 0.5F, sum);
    });
    const double twin_encoded = twin == nullptr ? 0 : seconds_of([&] { twin->encode(); });
    const double twin_decoded = twin == nullptr ? 0 : seconds_of([&] { twin->decode_add(); });
    rate = std::max(rate, copy_rate(values, sum));
    if (sample < 0) continue;
    times.encode.push_back(encoded);
    times.decode.push_back(decoded);
    times.twin_encode.push_back(twin_encoded);
    times.twin_decode.push_back(twin_decoded);
  }
  return times;
}

nlohmann::ordered_json Bench::measure(const Case& one) {
  const Options options = options_of_case(one, schema);
  const auto plain = one.make(options);
  const auto method = with_memory(one.make(options), one.kept);
  const auto twin = make_twin ? make_twin(one.row, values) : nullptr;
  ByteBuffer payload(method->room_bytes(kElements));
  std::size_t length = 0;
  const Times times = take_samples(one, *method, twin.get(), payload, length);
  FloatBuffer state(plain->state_floats(kElements), 0.0F);
  length = plain->encode(values, state, {++key}, payload).value();
  std::ranges::fill(sum, 0.0F);
  plain->add(std::span(payload).first(length), 1, sum);
  auto row = row_of(one, "cpu", median(times.encode), median(times.decode), length,
                    !method->has_fixed_length() && !one.dense, relative_error(values, sum));
  if (twin) {
    row["twin_encode_ms"] = median(times.twin_encode) * 1e3;
    row["twin_decode_ms"] = median(times.twin_decode) * 1e3;
  }
  return row;
}

void compare_with_floor(nlohmann::ordered_json& row, double rate) {
  row["bandwidth_gb_s"] = rate * 1e-9;
  row["encode_floor_fraction"] =
      row["floor_bytes"].get<double>() / rate / row["encode_ms"].get<double>() * 1e3;
  row["decode_floor_fraction"] =
      row["decode_floor_bytes"].get<double>() / rate / row["decode_add_ms"].get<double>() * 1e3;
}

void print(std::ostream& out, const std::string& where, const nlohmann::ordered_json& rows, double rate) {
  char line[256];
  std::snprintf(line, sizeof line,
                "%zu floats, %s; best copy of the run: %.1f GB/s, read and written.\n\n%-16s %9s %8s %9s "
                "%10s %8s %9s %8s %9s %9s %9s\n",
                kElements, where.c_str(), rate * 1e-9, "method", "encode ms", "GB/s", "decode ms", "bytes",
                "ratio", "error", "of floor", "of floor", "twin enc", "twin dec");
  out << line;
  for (const auto& row : rows) {
    const auto number = [&](const char* name) { return row[name].get<double>(); };
    std::snprintf(line, sizeof line, "%-16s %9.3f %8.2f %9.3f %10zu %8.2f %9.5f %8.2f %9.2f",
                  row["method"].get<std::string>().c_str(), number("encode_ms"), number("encode_gb_s"),
                  number("decode_add_ms"), row["wire_bytes"].get<std::size_t>(), number("ratio"),
                  number("relative_error"), number("encode_floor_fraction"), number("decode_floor_fraction"));
    out << line;
    if (row.contains("twin_encode_ms")) {
      std::snprintf(line, sizeof line, " %8.1fx %8.1fx", number("twin_encode_ms") / number("encode_ms"),
                    number("twin_decode_ms") / number("decode_add_ms"));
      out << line;
    }
    out << '\n';
  }
}

}  // namespace

nlohmann::ordered_json bench_methods(std::ostream& out, const MakeTwin& make_twin) {
  Bench bench(make_twin);
  auto rows = nlohmann::ordered_json::array();
  for (const Case& one : cases()) rows.push_back(bench.measure(one));
  for (auto& row : rows) compare_with_floor(row, bench.rate);
  print(out, "one thread", rows, bench.rate);
  return rows;
}

nlohmann::ordered_json bench_methods_on_cuda(std::ostream& out) {
#ifdef GOSSAMER_HAVE_CUDA
  if (const std::string why = cuda::why_no_device(); !why.empty())
    throw RunError("bench compression --device cuda: skipped: " + why);
  const FloatBuffer values = bench_values();
  cuda::DeviceBench bench(values);
  const auto schema = std::make_shared<OptionSchema>();
  add_compression_options(*schema);
  auto rows = nlohmann::ordered_json::array();
  for (const Case& one : cases()) {
    const Options options = options_of_case(one, schema);
    const auto method = cuda::make_device_method(options.text("compression.up"), options, kShape);
    if (method == nullptr) continue;  // it has no kernels
    const cuda::DeviceFigures figures = bench.measure(*method);
    rows.push_back(row_of(one, "cuda", median(figures.encode_seconds), median(figures.decode_seconds),
                          figures.payload_bytes, !method->has_fixed_length(),
                          relative_error(values, figures.decoded)));
  }
  for (auto& row : rows) compare_with_floor(row, bench.rate());
  print(out, cuda::device_name(), rows, bench.rate());
  return rows;
#else
  static_cast<void>(out);
  throw RunError("bench compression --device cuda: skipped: this build has no CUDA");
#endif
}

}  // namespace gossamer

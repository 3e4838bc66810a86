// What a peer can send as a compressed update, or as a difference between models: the first byte chooses a
// method's setting, the next the number of floats, the rest is the payload. Either nothing is added, or
// finite floats.
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <vector>

#include "compression/compressor.h"

namespace {

using namespace gossamer;

using Keys = std::vector<std::pair<std::string, std::string>>;

void require(bool condition) {
  if (!condition) std::abort();
}

const std::vector<Keys>& settings() {
  static const std::vector<Keys> all{
      {{"compression.up", "none"}},
      {{"compression.up", "fp16"}},
      {{"compression.up", "bf16"}},
      {{"compression.up", "int8"}},
      {{"compression.up", "one_bit"}, {"compression.one_bit.block", "48"}},
      {{"compression.up", "terngrad"}},
      {{"compression.up", "qsgd"}, {"compression.qsgd.bits", "2"}},
      {{"compression.up", "qsgd"}},
      {{"compression.up", "qsgd"}, {"compression.qsgd.bits", "8"}},
      {{"compression.up", "top_k"}, {"compression.top_k.density", "0.02"}},
      {{"compression.up", "top_k"}, {"compression.top_k.density", "0.6"}},
      {{"compression.up", "dgc"}, {"compression.dgc.density", "0.02"}},
      {{"compression.up", "random_k"}},
      {{"compression.up", "threshold"}},
      {{"compression.up", "wangni"}},
      {{"compression.up", "adacomp"}},
      {{"compression.up", "esgd"}},
      {{"compression.up", "low_rank"}, {"compression.low_rank.rank", "2"}},
      {{"compression.up", "random_mask"}},
      {{"compression.up", "bounded_error"}},
      {{"compression.up", "sketched"}},
      {{"compression.up", "sketched"},
       {"compression.sketched.bits", "8"},
       {"compression.sketched.density", "0.3"}},
      {{"compression.up", "powersgd"}, {"compression.powersgd.rank", "1"}},
      {{"compression.down", "terngrad"}},
      {{"compression.down", "qsgd"}},
      {{"compression.down", "random_k"}},
  };
  return all;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 2) return 0;
  auto schema = std::make_shared<OptionSchema>();
  add_compression_options(*schema);
  Options options(schema);
  for (const auto& [key, value] : settings()[data[0] % settings().size()]) options.set(key, value);
  options.set("compression.min_size", "9");
  const auto floats = static_cast<std::int64_t>(data[1]) * 5 + 1;
  const ParameterLayout layout({{"a", {5, (floats + 4) / 5}, 0, 0, TensorRole::parameter},
                                {"b", {8}, 0, 0, TensorRole::parameter},
                                {"c", {floats}, 0, 0, TensorRole::parameter}});
  const auto& registry = options.given("compression.down") ? down_compressors() : up_compressors();
  const auto compressor = registry.make(options, layout);
  const auto* bytes = reinterpret_cast<const std::byte*>(data + 2);
  const Compressed content{layout.size(), SharedBytes::of(ByteBuffer(bytes, bytes + (size - 2)))};
  FloatBuffer sum(layout.size(), 1.0F);
  const bool added = compressor->decompress_add(content, 1, sum).ok();
  for (const float x : sum) require(added || x == 1.0F);
  require(compressor->decompress(content, sum).ok() == added);
  for (const float x : sum) require(std::isfinite(x));
  return 0;
}

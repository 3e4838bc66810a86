#include "compression/model_codec.h"

#include <algorithm>

#include "core/checksum.h"

namespace gossamer {

std::uint64_t mark_of(std::span<const float> values) noexcept {
  return mark_of_checksum(checksum_of(std::as_bytes(values)));
}

ModelCodec::ModelCodec(const Options& options, const ParameterLayout& layout) {
  auto method = down_compressors().make(options, layout);
  const bool differs = sends_differences(options);
  whole_ = differs ? make_no_compressor(layout.size()) : std::move(method);
  if (differs) difference_ = std::move(method);
}

Result<std::monostate> ModelCodec::decode(const Compressed& content, std::uint64_t base, Held held,
                                          std::span<float> values) const {
  if (base == 0) return whole_->decompress(content, values);
  if (!difference_) return malformed("a difference where models travel as a whole");
  if (held.mark != base || held.values.size() != values.size())
    return malformed("a difference to a model that is not the one held here");
  std::ranges::copy(held.values, values.begin());
  return difference_->decompress_add(content, 1, values);
}

}  // namespace gossamer

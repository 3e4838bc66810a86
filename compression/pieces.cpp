#include <algorithm>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include "compression/method.h"
#include "core/checksum.h"
#include "core/error.h"

namespace gossamer {
namespace {

// Before a piece whose length depends on its values.
using PieceLength = std::uint32_t;

struct Piece {
  std::size_t begin = 0;
  std::size_t size = 0;
  bool dense = false;
  std::size_t state = 0;  // where its part of the state begins
};

std::vector<std::string> words_of(const std::string& list) {
  std::vector<std::string> words(1);
  for (const char c : list) {
    if (c == ',') words.emplace_back();
    if (c != ',' && c != ' ') words.back() += c;
  }
  std::erase(words, "");
  return words;
}

// A tensor's own name, or the beginning of it up to a dot.
bool names(const std::string& word, const std::string& tensor) {
  return tensor.starts_with(word) && (tensor.size() == word.size() || tensor[word.size()] == '.');
}

class Pieces final : public Compressor {
 public:
  Pieces(const Options& options, const ParameterLayout& layout, std::unique_ptr<Method> method)
      : tensors_(layout.tensors()), floats_(layout.size()), method_(std::move(method)) {
    const auto least = static_cast<std::size_t>(options.integer("compression.min_size"));
    const std::vector<std::string> skipped = words_of(options.text("compression.skip"));
    for (const TensorSpec& tensor : tensors_) {
      if (tensor.size == 0) continue;
      const bool dense =
          tensor.role == TensorRole::buffer || tensor.size < least ||
          std::ranges::any_of(skipped, [&](const std::string& word) { return names(word, tensor.name); });
      const bool joins =
          !pieces_.empty() && pieces_.back().dense == dense && (dense || !method_->by_tensor());
      if (!joins) pieces_.push_back({tensor.offset, 0, dense, 0});
      pieces_.back().size += tensor.size;
    }
    const auto vectors = static_cast<std::size_t>(method_->state_vectors());
    for (Piece& piece : pieces_) {
      piece.state = state_floats_;
      if (!piece.dense) state_floats_ += vectors * piece.size;
      room_ += piece.dense ? piece.size * sizeof(float)
                           : method_->most_bytes(piece.size) +
                                 (method_->has_fixed_length() ? 0 : sizeof(PieceLength));
    }
  }

  CompressorTraits traits() const noexcept override { return method_->traits(); }
  std::optional<std::size_t> payload_bytes() const override {
    const bool all_dense = std::ranges::all_of(pieces_, &Piece::dense);
    return all_dense || method_->has_fixed_length() ? std::optional(room_) : std::nullopt;
  }
  std::size_t state_floats() const override { return state_floats_; }

  Compressed compress(SharedFloats values, std::span<float> state, Rng& rng) const override {
    if (values.size() != floats_ || state.size() != state_floats_)
      throw std::logic_error("compress: a vector or a state of another layout");
    ByteBuffer payload(room_);
    std::size_t length = 0;
    for (const Piece& piece : pieces_) {
      const auto own = values.values.subspan(piece.begin, piece.size);
      if (piece.dense) {
        const auto bytes = std::as_bytes(own);
        if (!all_finite(bytes)) refuse(values.values, piece);
        std::memcpy(payload.data() + length, bytes.data(), bytes.size());
        length += bytes.size();
        continue;
      }
      const std::size_t prefix = method_->has_fixed_length() ? 0 : sizeof(PieceLength);
      const auto vectors = static_cast<std::size_t>(method_->state_vectors());
      const auto written = method_->encode(own, state.subspan(piece.state, vectors * piece.size),
                                           rng.bits64(), std::span(payload).subspan(length + prefix));
      if (!written) refuse(values.values, piece);
      if (prefix > 0) {
        const auto size = static_cast<PieceLength>(*written);
        std::memcpy(payload.data() + length, &size, sizeof size);
      }
      length += prefix + *written;
    }
    payload.resize(length);
    return {floats_, SharedBytes::of(std::move(payload))};
  }

  Result<std::monostate> decompress_add(const Compressed& content, float weight,
                                        std::span<float> sum) const override {
    if (!is_valid(content, sum.size()))
      return malformed("payload of " + std::to_string(content.payload.size()) +
                       " bytes that does not describe " + std::to_string(sum.size()) + " floats");
    std::span<const std::byte> rest = content.payload.bytes;
    for (const Piece& piece : pieces_) {
      const auto own = sum.subspan(piece.begin, piece.size);
      const std::span<const std::byte> bytes = *take(piece, rest);
      if (!piece.dense) {
        method_->add(bytes, weight, own);
        continue;
      }
      for (std::size_t i = 0; i < own.size(); ++i) {
        float value;
        std::memcpy(&value, bytes.data() + i * sizeof value, sizeof value);
        own[i] += weight * value;
      }
    }
    return std::monostate{};
  }

  Result<std::monostate> decompress(const Compressed& content, std::span<float> values) const override {
    if (!is_valid(content, values.size())) return decompress_add(content, 1, values);
    std::ranges::fill(values, 0.0F);
    return decompress_add(content, 1, values);
  }

 private:
  // The piece's bytes, taken off the front; none where they are not all there.
  std::optional<std::span<const std::byte>> take(const Piece& piece, std::span<const std::byte>& rest) const {
    std::size_t size = piece.dense ? piece.size * sizeof(float) : method_->most_bytes(piece.size);
    if (!piece.dense && !method_->has_fixed_length()) {
      PieceLength written;
      if (rest.size() < sizeof written) return std::nullopt;
      std::memcpy(&written, rest.data(), sizeof written);
      rest = rest.subspan(sizeof written);
      if (written > size) return std::nullopt;
      size = written;
    }
    if (rest.size() < size) return std::nullopt;
    const auto bytes = rest.first(size);
    rest = rest.subspan(size);
    return bytes;
  }

  bool is_valid(const Compressed& content, std::size_t floats) const {
    if (content.elements != floats || floats != floats_) return false;
    std::span<const std::byte> rest = content.payload.bytes;
    for (const Piece& piece : pieces_) {
      const auto bytes = take(piece, rest);
      if (!bytes || !(piece.dense ? all_finite(*bytes) : method_->is_valid(*bytes, piece.size))) return false;
    }
    return rest.empty();
  }

  // Says where a value is that is none.
  [[noreturn]] void refuse(std::span<const float> values, const Piece& piece) const {
    const auto own = [&](const TensorSpec& tensor) {
      return tensor.offset >= piece.begin && tensor.offset < piece.begin + piece.size;
    };
    std::string culprit;
    for (const TensorSpec& tensor : tensors_) {
      if (!own(tensor)) continue;
      const bool here = !all_finite(std::as_bytes(values.subspan(tensor.offset, tensor.size)));
      if (culprit.empty() || here) culprit = tensor.name;
      if (here) break;
    }
    throw RunError(culprit + ": the update holds NaN or infinity (a lower client.lr may help)");
  }

  const std::vector<TensorSpec> tensors_;
  const std::size_t floats_;
  const std::unique_ptr<Method> method_;
  std::vector<Piece> pieces_;
  std::size_t state_floats_ = 0;
  std::size_t room_ = 0;  // for the longest payload
};

}  // namespace

std::unique_ptr<Compressor> make_pieces(const Options& options, const ParameterLayout& layout,
                                        std::unique_ptr<Method> method) {
  return std::make_unique<Pieces>(options, layout, std::move(method));
}

}  // namespace gossamer

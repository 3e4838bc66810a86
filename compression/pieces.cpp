#include <algorithm>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include "compression/device_encoder.h"
#include "compression/methods.h"
#include "compression/tensor_ways.h"
#include "core/checksum.h"

namespace gossamer {
namespace {

// Before a piece whose length depends on its values.
using PieceLength = std::uint32_t;

struct Piece {
  std::size_t begin = 0;
  std::size_t size = 0;
  std::unique_ptr<Method> method;
  std::span<const std::int64_t> shape;  // of the tensor that it was made for
  std::size_t state = 0;                // where its part of the state begins
  bool has_method = false;              // the configured one, not that of what travels as it is

  std::size_t prefix() const { return method->has_fixed_length() ? 0 : sizeof(PieceLength); }
  std::size_t state_floats() const { return method->state_floats(size); }
};

class Pieces final : public Compressor {
 public:
  Pieces(const Options& options, const ParameterLayout& layout, const MakeMethod& make,
         const MakeMethod& make_short)
      : tensors_(layout.tensors()), floats_(layout.size()) {
    const TensorWays ways(options);
    const std::unique_ptr<Method> any = make({});
    traits_ = any->traits();
    TensorWay last = TensorWay::buffer;
    for (const TensorSpec& tensor : tensors_) {
      if (tensor.size == 0) continue;
      const TensorWay way = ways.of(tensor);
      const bool joins =
          !pieces_.empty() && last == way && (way != TensorWay::compressed || !any->by_tensor());
      if (!joins) {
        pieces_.push_back({tensor.offset, 0,
                           way == TensorWay::buffer  ? make_dense()
                           : way == TensorWay::dense ? make_short(tensor.shape)
                                                     : make(tensor.shape),
                           tensor.shape, 0, way == TensorWay::compressed});
      }
      pieces_.back().size += tensor.size;
      last = way;
    }
    for (Piece& piece : pieces_) {
      piece.state = state_floats_;
      state_floats_ += piece.state_floats();
      most_bytes_ += piece.prefix() + piece.method->most_bytes(piece.size);
      scratch_bytes_ = std::max(scratch_bytes_, piece.method->scratch_bytes(piece.size));
    }
  }

  CompressorTraits traits() const noexcept override { return traits_; }
  std::optional<std::size_t> payload_bytes() const override {
    const bool fixed = std::ranges::all_of(pieces_, [](const Piece& piece) { return piece.prefix() == 0; });
    return fixed ? std::optional(most_bytes_) : std::nullopt;
  }
  std::size_t state_floats() const override { return state_floats_; }

  Compressed compress(SharedFloats values, std::span<float> state, MessageContext context,
                      Rng& rng) const override {
    const auto encode = [&](const Piece& piece, std::span<float> own, EncodeContext about,
                            std::span<std::byte> payload) {
      return piece.method->encode(values.values.subspan(piece.begin, piece.size), own, about, payload);
    };
    const auto culprit = [&](const Piece& piece) { return values.values.subspan(piece.begin, piece.size); };
    return write(values.size(), state, context, rng, encode, culprit);
  }

  Compressed compress(const DevicePart& values, DeviceEncoder& encoder, std::span<float> state,
                      MessageContext context, Rng& rng) const override {
    FloatBuffer here;
    const auto bring = [&](const Piece& piece) -> std::span<const float> {
      here.resize(piece.size);
      values.vector.read(values.begin + piece.begin, here);
      return here;
    };
    const auto encode = [&](const Piece& piece, std::span<float> own, EncodeContext about,
                            std::span<std::byte> payload) {
      if (!piece.has_method) return piece.method->encode(bring(piece), own, about, payload);
      return encoder.encode(values.vector.address() + values.begin + piece.begin, piece.size, piece.shape,
                            own, about, payload);
    };
    return write(values.size, state, context, rng, encode, bring);
  }
  Result<std::monostate> decompress_add(const Compressed& content, float weight,
                                        std::span<float> sum) const override {
    if (!is_valid(content, sum.size())) return refused(content, sum.size());
    add_valid(content, weight, sum);
    return std::monostate{};
  }

  Result<std::monostate> decompress(const Compressed& content, std::span<float> values) const override {
    if (!is_valid(content, values.size())) return refused(content, values.size());
    std::ranges::fill(values, 0.0F);
    add_valid(content, 1, values);
    return std::monostate{};
  }

 private:
  // The payloads of all pieces, as encode(piece, state, context, room) writes each. values_of(piece) is asked
  // where it refuses one.
  template <class Encode, class ValuesOf>
  Compressed write(std::size_t floats, std::span<float> state, MessageContext context, Rng& rng,
                   const Encode& encode, const ValuesOf& values_of) const {
    if (floats != floats_ || state.size() != state_floats_)
      throw std::logic_error("compress: a vector or a state of another layout");
    ByteBuffer payload(most_bytes_ + scratch_bytes_);
    std::size_t length = 0;
    for (const Piece& piece : pieces_) {
      const std::size_t prefix = piece.prefix();
      const std::optional<std::size_t> written =
          encode(piece, state.subspan(piece.state, piece.state_floats()),
                 EncodeContext{rng.bits64(), context.round, context.loss},
                 std::span(payload).subspan(length + prefix));
      if (!written) refuse(values_of(piece), piece);
      if (prefix > 0) {
        const auto size = static_cast<PieceLength>(*written);
        std::memcpy(payload.data() + length, &size, sizeof size);
      }
      length += prefix + *written;
    }
    if (length < payload.size()) payload = ByteBuffer(payload.data(), payload.data() + length);
    return {floats_, SharedBytes::of(std::move(payload))};
  }

  // The piece's bytes, taken off the front; none where they are not all there.
  static std::optional<std::span<const std::byte>> take(const Piece& piece,
                                                        std::span<const std::byte>& rest) {
    std::size_t size = piece.method->most_bytes(piece.size);
    if (piece.prefix() > 0) {
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
      if (!bytes || !piece.method->is_valid(*bytes, piece.size)) return false;
    }
    return rest.empty();
  }

  static Result<std::monostate> refused(const Compressed& content, std::size_t floats) {
    return malformed("payload of " + std::to_string(content.payload.size()) +
                     " bytes that does not describe " + std::to_string(floats) + " floats");
  }

  void add_valid(const Compressed& content, float weight, std::span<float> sum) const {
    std::span<const std::byte> rest = content.payload.bytes;
    for (const Piece& piece : pieces_)
      piece.method->add(*take(piece, rest), weight, sum.subspan(piece.begin, piece.size));
  }

  // Says where a value is that is none, of the piece's.
  [[noreturn]] void refuse(std::span<const float> values, const Piece& piece) const {
    const auto own = [&](const TensorSpec& tensor) {
      return tensor.offset >= piece.begin && tensor.offset < piece.begin + piece.size;
    };
    std::string culprit;
    for (const TensorSpec& tensor : tensors_) {
      if (!own(tensor)) continue;
      const bool here = !all_finite(std::as_bytes(values.subspan(tensor.offset - piece.begin, tensor.size)));
      if (culprit.empty() || here) culprit = tensor.name;
      if (here) break;
    }
    refuse_not_finite(culprit);
  }

  const std::vector<TensorSpec> tensors_;
  const std::size_t floats_;
  CompressorTraits traits_;
  std::vector<Piece> pieces_;
  std::size_t state_floats_ = 0;
  std::size_t most_bytes_ = 0;
  std::size_t scratch_bytes_ = 0;  // of one piece after another
};

}  // namespace

std::unique_ptr<Compressor> make_pieces(const Options& options, const ParameterLayout& layout,
                                        const MakeMethod& make, const MakeMethod& make_short) {
  return std::make_unique<Pieces>(options, layout, make, make_short);
}

}  // namespace gossamer

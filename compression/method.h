#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>

#include "compression/compressor.h"

namespace gossamer {

// What a message may depend on besides its values.
struct EncodeContext {
  std::uint64_t key = 0;   // names its stream of random bits (lanes-inl.h)
  std::int64_t round = 0;  // that it belongs to
  double loss = 0;         // of the training that it comes from (MessageContext)
};

// Momentum that values go through before they are encoded: velocity <- factor * velocity + scale * values,
// one after the other. The velocity is as long as the values.
struct Momentum {
  float* velocity;
  float factor, scale;
};

// What encode_velocity() says besides the length.
struct EncodedVelocity {
  std::size_t bytes;
  // All the places where the residual is zero and the velocity may not be, in what is behind the payload;
  // none where they are not known.
  std::optional<std::span<const std::uint32_t>> settled;
};

// One method of compression, as arithmetic on spans: of a piece of the vector, which is a tensor or, where
// tensors do not matter to the method, a run of them. Immutable; allocates nothing a call.
class Method {
 public:
  virtual ~Method() = default;

  virtual CompressorTraits traits() const noexcept = 0;
  // Whether each tensor is a piece of its own.
  virtual bool by_tensor() const noexcept { return false; }
  // What the sender of a piece of so many floats keeps from one message to the next.
  virtual std::size_t state_floats(std::size_t) const noexcept { return 0; }
  // Whether that begins with a float for each value: what has not been sent of it, which is zero where all of
  // it has.
  virtual bool has_residual() const noexcept { return false; }
  // The longest payload of so many floats; the length of any, where it is fixed.
  virtual std::size_t most_bytes(std::size_t floats) const noexcept = 0;
  virtual bool has_fixed_length() const noexcept { return true; }
  // What encode() works in besides, of any content before and after.
  virtual std::size_t scratch_bytes(std::size_t) const noexcept { return 0; }
  // The memory that encode() is given for so many floats.
  std::size_t room_bytes(std::size_t floats) const noexcept {
    return most_bytes(floats) + scratch_bytes(floats);
  }

  // Writes the payload to the beginning of `payload`, which is room_bytes() long, and returns its length;
  // none where a value, or one of the state, is NaN or infinite. `state` is state_floats() floats, zeros
  // before the first message. `values` is not empty.
  virtual std::optional<std::size_t> encode(std::span<const float> values, std::span<float> state,
                                            EncodeContext context, std::span<std::byte> payload) const = 0;
  // Encodes values + residual, and leaves in the residual what the payload leaves out. `state` is the
  // residual, as long as the values, and behind it what encode() takes. The same payload and state, bit for
  // bit, as adding, encode() and subtracting the decoded, which is what it does unless a method does it in
  // fewer passes.
  virtual std::optional<std::size_t> encode_with_residual(std::span<const float> values,
                                                          std::span<float> state, EncodeContext context,
                                                          std::span<std::byte> payload) const;
  // encode() and encode_with_residual() of the velocity, after the values have gone into it: the same as one
  // after the other, bit for bit, in fewer passes where a method has them.
  virtual std::optional<EncodedVelocity> encode_velocity(std::span<const float> values,
                                                         const Momentum& momentum, std::span<float> state,
                                                         EncodeContext context,
                                                         std::span<std::byte> payload) const;
  virtual std::optional<EncodedVelocity> encode_velocity_with_residual(std::span<const float> values,
                                                                       const Momentum& momentum,
                                                                       std::span<float> state,
                                                                       EncodeContext context,
                                                                       std::span<std::byte> payload) const;

  // Whether the payload is one that encode() could have written of so many floats, apart from the values in
  // it: what add() relies on.
  virtual bool is_valid(std::span<const std::byte> payload, std::size_t floats) const noexcept = 0;
  // sum += weight * decoded, of a valid payload.
  virtual void add(std::span<const std::byte> payload, float weight, std::span<float> sum) const noexcept = 0;
};

// A method without state that takes a residual into account in the same passes: all it writes is write().
class FusedMethod : public Method {
 public:
  std::optional<std::size_t> encode(std::span<const float> values, std::span<float>, EncodeContext context,
                                    std::span<std::byte> payload) const final {
    return write(values, nullptr, context, payload);
  }
  std::optional<std::size_t> encode_with_residual(std::span<const float> values, std::span<float> residual,
                                                  EncodeContext context,
                                                  std::span<std::byte> payload) const final {
    return write(values, residual.data(), context, payload);
  }

 private:
  // As encode(), or, where `residual` is not null, as encode_with_residual().
  virtual std::optional<std::size_t> write(std::span<const float> values, float* residual,
                                           EncodeContext context, std::span<std::byte> payload) const = 0;
};

// What goes wrong in compression is made up for in the next message: values + residual is sent, and what was
// not sent of it is the next residual (Seide et al. 2014; Stich, Cordonnier, Jaggi: "Sparsified SGD with
// memory", NeurIPS 2018). Its state is the residual, then that of `inner`.
std::unique_ptr<Method> make_error_feedback(std::unique_ptr<Method> inner);

// What momentum_correction.cpp does with the momentum of what has been sent.
enum class Masking { unless_all_is_sent, always, never };
struct MomentumSettings {
  float factor = 0.9F;
  bool nesterov = false;
  Masking masking = Masking::unless_all_is_sent;
  float clip = 0;  // the Euclidean norm that a piece has at most before it is accumulated; 0: any
};
// Momentum before the method instead of behind it (Lin, Han, Mao, Wang, Dally: "Deep gradient compression",
// ICLR 2018): what a value adds up to while it waits to be sent has the momentum that it would have had.
// Over any method; the state is the momentum and then the method's.
std::unique_ptr<Method> make_momentum_correction(std::unique_ptr<Method> inner, MomentumSettings settings);

// A method for pieces of a shape, in elements by dimension; of none that is known, where it is empty.
using MakeMethod = std::function<std::unique_ptr<Method>(std::span<const std::int64_t> shape)>;

// A compressor that gives each piece of the layout to a method of its shape. What compression.skip names or
// is shorter than compression.min_size is given to one that leaves nothing out, and what is no parameter
// travels as it is.
std::unique_ptr<Compressor> make_pieces(const Options& options, const ParameterLayout& layout,
                                        const MakeMethod& make, const MakeMethod& make_short);

}  // namespace gossamer

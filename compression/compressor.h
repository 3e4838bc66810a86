#pragma once

#include <memory>
#include <optional>
#include <span>
#include <utility>

#include "core/device_floats.h"
#include "core/layout.h"
#include "core/registry.h"
#include "core/result.h"
#include "core/rng.h"
#include "core/shard_plan.h"
#include "core/update.h"

namespace gossamer {

// What a method promises of decoded(x), for those that combine it with others.
struct CompressorTraits {
  bool linear = false;              // decoded(a x + b y) = a decoded(x) + b decoded(y), with the same draws
  bool unbiased = false;            // E decoded(x) = x
  bool norm_nonincreasing = false;  // |decoded(x)| <= |x|, in the Euclidean norm
  bool telescopes = false;  // the sum of all x is that of all decoded(x), and what the state begins with
};

// What a message may depend on besides its values.
struct MessageContext {
  Round round = 0;         // that it belongs to
  double loss = 0;         // of an update: mean training loss over its examples; any number
  std::size_t method = 0;  // by which of the compressor's choices() it is to travel
};

class DeviceEncoder;

// Floats begin .. begin + size - 1 of a vector on another device.
struct DevicePart {
  const DeviceFloats& vector;
  std::size_t begin, size;
};

// Vectors of one layout to bytes and back. What a sender keeps from one vector to its next (a residual) is
// the caller's: state_floats() floats, zero before the first, of one stream each. Immutable, so that one
// instance serves all streams and threads.
class Compressor {
 public:
  virtual ~Compressor() = default;

  virtual CompressorTraits traits() const noexcept = 0;
  // The payload's length; none where it depends on the values.
  virtual std::optional<std::size_t> payload_bytes() const { return std::nullopt; }
  virtual std::size_t state_floats() const { return 0; }
  // How many methods there are for a message of it (MessageContext::method).
  virtual std::size_t choices() const noexcept { return 1; }

  // The result may share the input's storage, and holds no more memory than its payload. `rng` feeds
  // stochastic methods. Throws RunError where a value is NaN or infinite, with the name of its tensor; then
  // `state` is of no use any more.
  virtual Compressed compress(SharedFloats values, std::span<float> state, MessageContext context,
                              Rng& rng) const = 0;

  // The same of a vector on a device, bit for bit, with `encoder` for what it has this compressor's method
  // for; the rest is compressed here. Unless overridden, that is all.
  virtual Compressed compress(const DevicePart& values, DeviceEncoder& encoder, std::span<float> state,
                              MessageContext context, Rng& rng) const {
    static_cast<void>(encoder);
    FloatBuffer here(values.size);
    values.vector.read(values.begin, here);
    return compress(SharedFloats::of(std::move(here)), state, context, rng);
  }

  // sum += weight * decoded. A payload that does not describe exactly sum.size() finite floats is malformed,
  // and then nothing was added. Never reads or writes out of bounds, whatever the bytes.
  virtual Result<std::monostate> decompress_add(const Compressed& content, float weight,
                                                std::span<float> sum) const = 0;
  // values = decoded, with the same promises.
  virtual Result<std::monostate> decompress(const Compressed& content, std::span<float> values) const = 0;
};

// The one way from a PrivateUpdate to bytes: a range for each shard of the server, by a compressor each,
// whose states lie in `state` one behind the other. `encoder`, if any, is of these compressors' method: an
// update on its device is compressed there.
CompressedUpdate compress(std::span<const std::unique_ptr<Compressor>> compressors, const ShardPlan& plan,
                          PrivateUpdate update, std::span<float> state, Rng& rng, std::size_t method = 0,
                          DeviceEncoder* encoder = nullptr);

// Methods for updates (compression.up) and for models (compression.down), of vectors of this layout.
using CompressorRegistry = Registry<Compressor, const ParameterLayout&>;
const CompressorRegistry& up_compressors();
const CompressorRegistry& down_compressors();

// Floats as they are, where they lie.
std::unique_ptr<Compressor> make_no_compressor(std::size_t floats);
Compressed as_they_are(SharedFloats values);

// A compressor for each shard of the server.
std::vector<std::unique_ptr<Compressor>> one_a_shard(const CompressorRegistry& registry,
                                                     const Options& options, const ShardPlan& plan);

// Whether whoever sends updates keeps something from one to the next.
bool keeps_state(const Options& options);

// compression.skip and the other keys of all methods.
void add_compression_options(OptionSchema& schema);

}  // namespace gossamer

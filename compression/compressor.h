#pragma once

#include <memory>
#include <optional>
#include <span>
#include <utility>

#include "core/registry.h"
#include "core/result.h"
#include "core/rng.h"
#include "core/shard_plan.h"
#include "core/update.h"

namespace gossamer {

// Floats to bytes and back. The sender's side may hold memory (a residual); the receiver's side holds none,
// so one instance decodes for all peers. Not thread-safe: one instance a stream.
class Compressor {
 public:
  virtual ~Compressor() = default;

  // The payload's length for any `elements` floats; none where it depends on their values.
  virtual std::optional<std::size_t> payload_bytes(std::size_t /*elements*/) const { return std::nullopt; }

  // The result may share the input's storage. `rng` feeds stochastic methods.
  virtual Compressed compress(SharedFloats values, Rng& rng) = 0;

  // sum += weight * decoded. A payload that does not describe exactly sum.size() finite floats is malformed,
  // and then nothing was added. Never reads or writes out of bounds, whatever the bytes.
  virtual Result<std::monostate> decompress_add(const Compressed& content, float weight,
                                                std::span<float> sum) const = 0;
  // values = decoded, with the same promises.
  virtual Result<std::monostate> decompress(const Compressed& content, std::span<float> values) const = 0;
};

// The one way from a PrivateUpdate to bytes: a range for each shard of the server, by a compressor each.
CompressedUpdate compress(std::span<const std::unique_ptr<Compressor>> compressors, const ShardPlan& plan,
                          PrivateUpdate update, Rng& rng);

// Methods for updates (compression.up) and for models (compression.down).
const Registry<Compressor>& up_compressors();
const Registry<Compressor>& down_compressors();

}  // namespace gossamer

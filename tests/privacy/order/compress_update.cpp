// Must not compile: an update that was neither clipped nor privatized is sent.
#include "compression/compressor.h"

namespace gossamer {

CompressedUpdate send(std::span<const std::unique_ptr<Compressor>> compressors, const ShardPlan& plan,
                      Update update, Rng& rng) {
  return compress(compressors, plan, std::move(update), {}, rng);
}

}  // namespace gossamer

// The journey of an update in its order: compiles, so that what the other files do is all that is wrong with
// them.
#include "compression/compressor.h"
#include "privacy/clipper.h"
#include "privacy/mechanism.h"

namespace gossamer {

CompressedUpdate send(std::span<const std::unique_ptr<Compressor>> compressors, const ShardPlan& plan,
                      Clipper& clipper, PrivacyMechanism& mechanism, Update update, Rng& rng) {
  return compress(compressors, plan, mechanism.privatize(clipper.clip(std::move(update))), {}, rng);
}

}  // namespace gossamer

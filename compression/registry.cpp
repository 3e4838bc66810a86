#include "compression/methods.h"

namespace gossamer {
namespace {

std::vector<Registry<Compressor>::Entry> methods() {
  return {
      {{"none", "32-bit floats as they are", "", {}}, make_no_compressor},
  };
}

}  // namespace

const Registry<Compressor>& up_compressors() {
  static const Registry<Compressor> table{"compressors", "compression.up", "none", "how updates travel",
                                          methods()};
  return table;
}

const Registry<Compressor>& down_compressors() {
  static const Registry<Compressor> table{"compressors", "compression.down", "none", "how models travel",
                                          methods()};
  return table;
}

CompressedUpdate compress(Compressor& compressor, PrivateUpdate update, Rng& rng) {
  return {update.info, compressor.compress(SharedFloats::of(std::move(update.values)), rng)};
}

}  // namespace gossamer

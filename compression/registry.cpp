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

CompressedUpdate compress(std::span<const std::unique_ptr<Compressor>> compressors, const ShardPlan& plan,
                          PrivateUpdate update, Rng& rng) {
  const SharedFloats values = SharedFloats::of(std::move(update.values));
  const auto range = [&](std::size_t shard) {
    return compressors[shard]->compress({values.owner, plan.part(values.values, shard)}, rng);
  };
  CompressedUpdate compressed{update.info, range(0), {}};
  for (std::size_t s = 1; s < plan.shards(); ++s) compressed.more.push_back(range(s));
  return compressed;
}

}  // namespace gossamer

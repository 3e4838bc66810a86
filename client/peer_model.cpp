#include "client/peer_model.h"

#include <algorithm>
#include <utility>

#include "client/public_copies.h"

namespace gossamer {

Rng message_rng(std::uint64_t seed, ClientId from, ClientId to, Round round) {
  return {seed, Purpose::compression,
          static_cast<std::uint64_t>(from) | static_cast<std::uint64_t>(to) << 32U,
          static_cast<std::uint64_t>(round)};
}

PeerModel::PeerModel(FloatBuffer values, double weight)
    : values_(std::make_shared<FloatBuffer>(std::move(values))), weight_(weight) {}

Result<std::monostate> PeerModel::add(const CompressedUpdate& update, const Compressor& up) {
  return up.decompress_add(update.content, 1, change());
}

Result<std::monostate> PeerModel::fill(const CompressedUpdate& update, double weight, const Compressor& up,
                                       std::span<float> vector) const {
  std::ranges::fill(vector, 0.0F);
  const auto factor = static_cast<float>(weight);
  vector.back() = factor;
  return up.decompress_add(update.content, factor, vector.first(vector.size() - 1));
}

void PeerModel::add_mean(std::span<const float> sums) {
  const float total = sums.back();
  if (total <= 0) return;
  const std::span<float> values = change();
  for (std::size_t i = 0; i < values.size(); ++i) values[i] += sums[i] / total;
}

std::size_t PeerModel::mix(std::span<const MixingWeight> row, Rank self, std::span<const float> own,
                           const std::map<ClientId, Compressed>& arrived, const Compressor& down) {
  double kept = 0;
  for (const MixingWeight& entry : row) {
    if (entry.peer == self || !arrived.contains(entry.peer)) kept += entry.weight;
  }
  auto mixed = std::make_shared<FloatBuffer>(own.size());
  std::ranges::fill(*mixed, 0.0F);
  const std::span<float> sum = *mixed;
  const auto add_own = [&](double weight) {
    const auto factor = static_cast<float>(weight);
    for (std::size_t i = 0; i < sum.size(); ++i) sum[i] += factor * own[i];
  };
  std::size_t malformed = 0;
  for (const MixingWeight& entry : row) {
    if (entry.peer == self) {
      add_own(kept);
    } else if (const auto theirs = arrived.find(entry.peer); theirs != arrived.end()) {
      if (down.decompress_add(theirs->second, static_cast<float>(entry.weight), sum)) continue;
      add_own(entry.weight);
      ++malformed;
    }
  }
  values_ = std::move(mixed);
  return malformed;
}

std::size_t PeerModel::approach(std::span<const MixingWeight> row, Rank self, std::span<const float> own,
                                const PublicCopies& copies, Round round, double step) {
  const std::span<const float> copy = copies.after(round, self);
  auto moved = std::make_shared<FloatBuffer>(own.begin(), own.end());
  const std::span<float> values = *moved;
  std::size_t left_out = 0;
  for (const MixingWeight& entry : row) {
    if (entry.peer == self) continue;
    const std::span<const float> theirs = copies.after(round, entry.peer);
    if (theirs.empty()) {
      ++left_out;
      continue;
    }
    const auto factor = static_cast<float>(step * entry.weight);
    for (std::size_t i = 0; i < values.size(); ++i) values[i] += factor * (theirs[i] - copy[i]);
  }
  values_ = std::move(moved);
  return left_out;
}

Result<SharedFloats> PeerModel::half_difference(const Compressed& theirs, const Compressor& down) const {
  FloatBuffer difference(values_->size());
  if (auto decompressed = down.decompress(theirs, difference); !decompressed) return decompressed.fault();
  const std::span<const float> own = values();
  for (std::size_t i = 0; i < own.size(); ++i) difference[i] = (difference[i] - own[i]) / 2;
  return SharedFloats::of(std::move(difference));
}

Result<std::monostate> PeerModel::take(const Compressed& difference, const Compressor& down) {
  return down.decompress_add(difference, 1, change());
}

Result<std::monostate> PeerModel::give(const Compressed& difference, const Compressor& down) {
  return down.decompress_add(difference, -1, change());
}

Result<std::monostate> PeerModel::absorb(const Compressed& theirs, double weight, const Compressor& down) {
  FloatBuffer model(values_->size());
  if (auto decompressed = down.decompress(theirs, model); !decompressed) return decompressed;
  const double total = weight_ + weight;
  if (weight <= 0) return std::monostate{};
  const auto share = static_cast<float>(weight / total);
  const std::span<float> values = change();
  for (std::size_t i = 0; i < values.size(); ++i) values[i] += share * (model[i] - values[i]);
  weight_ = total;
  return std::monostate{};
}

FloatBuffer& PeerModel::change() {
  // Whoever held it before may have read it on another thread: to take a share, unlike to look at the count,
  // comes after that.
  const std::shared_ptr<FloatBuffer> ours = values_;
  if (ours.use_count() > 2) values_ = std::make_shared<FloatBuffer>(*ours);
  return *values_;
}

}  // namespace gossamer

#pragma once

#include <map>
#include <memory>
#include <span>
#include <vector>

#include "comms/topologies/gossip.h"
#include "compression/compressor.h"
#include "core/buffers.h"
#include "core/update.h"

namespace gossamer {

class PublicCopies;

// The random bits of what one peer sends to another; to all its neighbours, where `to` is `from`.
Rng message_rng(std::uint64_t seed, ClientId from, ClientId to, Round round);

// A peer's own model, and the arithmetic by which updates and other peers' models change it: the same in
// simulation, under MPI and over ZeroMQ. What share() gave out stays as it was. Not thread-safe. Where
// content is malformed nothing has changed.
class PeerModel {
 public:
  explicit PeerModel(FloatBuffer values = {}, double weight = 1);

  std::span<const float> values() const noexcept { return *values_; }
  SharedFloats share() const { return {values_, *values_}; }
  double weight() const noexcept { return weight_; }  // GoSGD's omega

  // x = x + u
  Result<std::monostate> add(const CompressedUpdate& update, const Compressor& up);

  // A common sum. fill() writes weight * u and then the weight itself into values().size() + 1 floats; once
  // these have been summed over the peers, add_mean() adds the quotient.
  Result<std::monostate> fill(const CompressedUpdate& update, double weight, const Compressor& up,
                              std::span<float> vector) const;
  void add_mean(std::span<const float> sums);

  // D-PSGD and pairwise averaging in lockstep: x = sum_j W_ij x_j, in the order of the row. `own` stands for
  // x_i; who is missing, or has sent something malformed, counts as x_i too, so that W stays doubly
  // stochastic among those who are left. Returns how many were malformed.
  std::size_t mix(std::span<const MixingWeight> row, Rank self, std::span<const float> own,
                  const std::map<ClientId, Compressed>& arrived, const Compressor& down);

  // The same of models whose differences travel: x = own + step * sum_j W_ij (copy_j - copy_i), of the copies
  // after `round`; who has none is left out. Returns how many were.
  std::size_t approach(std::span<const MixingWeight> row, Rank self, std::span<const float> own,
                       const PublicCopies& copies, Round round, double step);

  // Pairwise averaging, asynchronous: who is asked takes half the difference, (x_j - x_i) / 2, as it will
  // arrive, and who asked then gives it. Their sum is conserved whatever else happened to either in between.
  Result<SharedFloats> half_difference(const Compressed& theirs, const Compressor& down) const;
  Result<std::monostate> take(const Compressed& difference, const Compressor& down);
  Result<std::monostate> give(const Compressed& difference, const Compressor& down);

  // GoSGD: the half of the weight that leaves with the model; and what comes in, as a weighted mean.
  double halve_weight() noexcept { return weight_ /= 2; }
  Result<std::monostate> absorb(const Compressed& theirs, double weight, const Compressor& down);

 private:
  FloatBuffer& change();  // a copy, where somebody else holds the values

  std::shared_ptr<FloatBuffer> values_;
  double weight_;
};

}  // namespace gossamer

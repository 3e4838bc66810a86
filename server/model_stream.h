#pragma once

#include <cstdint>
#include <memory>
#include <optional>

#include "compression/model_codec.h"
#include "core/checkpoint.h"
#include "core/layout.h"

namespace gossamer {

// What one sender broadcasts of its model, round after round. Where compression.down sends differences, all
// receivers are held to one vector, w~: in each round the difference of the model to w~ is compressed, and
// what it decodes to is added to w~, here as there. What it leaves out is so in the next difference: the
// residual of Seide et al. (2014), "double squeeze" (Tang, Yu, Lian, Zhang, Liu, 2019), without a vector of
// its own. Who does not hold the w~ of the round before gets the new one as it is. No I/O. Not thread-safe.
class ModelStream {
 public:
  ModelStream(const Options& options, const ParameterLayout& layout);

  struct Broadcast {
    Compressed whole;                      // for anybody
    std::optional<Compressed> difference;  // for who holds the last one
    std::uint64_t base = 0;                // the mark of that
  };
  bool sends_differences() const noexcept { return codec_.difference() != nullptr; }
  // Of `round`, which is later than that of the call before. Throws RunError where the model holds NaN or
  // infinity.
  Broadcast next(const std::shared_ptr<const Parameters>& model, Round round);
  // A model as a whole, of no round: where no differences are sent.
  Compressed whole(const std::shared_ptr<const Parameters>& model) const;
  // What receivers hold; empty before the first broadcast, or where each model is sent by itself.
  std::span<const float> reference() const noexcept { return reference_.values; }

  // Between rounds: the reference, and what the method keeps. A method's state that is of another layout
  // begins anew.
  void save(CheckpointWriter& writer) const;
  void restore(const CheckpointReader& reader);

 private:
  Compressed compress_difference(std::span<const float> model, Round round);
  void hold(SharedFloats reference);

  std::uint64_t seed_;
  ModelCodec codec_;
  FloatBuffer state_;  // the method's own
  SharedFloats reference_;
  std::uint64_t mark_ = 0;  // of the reference
};

}  // namespace gossamer

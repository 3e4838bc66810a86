#pragma once

#include <span>

#include "core/buffers.h"
#include "core/registry.h"

namespace gossamer {

// Makes up for what happened to the model between the version that an update was computed from and the
// version that it meets. May hold a state over the parameters, which travels in checkpoints.
class Correction {
 public:
  virtual ~Correction() = default;
  // Whether each float of the result follows from the same float of what goes in, so that shards of a server
  // can work on ranges. Says no where nobody thought of it.
  virtual bool is_elementwise() const noexcept { return false; }
  // Changes `update` in place. All three have the same size; none overlap.
  virtual void correct(std::span<float> update, std::span<const float> current,
                       std::span<const float> base) = 0;
  // Empty where there is none, or before the first update.
  FloatBuffer& state() noexcept { return state_; }

 private:
  FloatBuffer state_;
};

// `sync.correction`; null for `none`.
const Registry<Correction>& corrections();

}  // namespace gossamer

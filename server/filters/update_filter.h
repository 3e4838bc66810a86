#pragma once

#include <memory>
#include <span>

#include "compression/compressor.h"
#include "core/registry.h"

namespace gossamer {

// What of an aggregator's updates travels to its parent, and how. May hold memory of what has not travelled:
// one instance an aggregator. Not thread-safe.
class UpdateFilter {
 public:
  virtual ~UpdateFilter() = default;
  // `update`: how the children have moved `model`, which is the parent's of `round` (from 1 on); of one
  // length, always the same.
  virtual Compressed pass(FloatBuffer update, std::span<const float> model, Round round) = 0;
  // How the parent reads it; only its decoding half is used.
  virtual std::unique_ptr<Compressor> codec() const = 0;
};

// `topology.tree.filter`.
const Registry<UpdateFilter>& update_filters();

}  // namespace gossamer

#pragma once

#include <memory>

#include "core/checkpoint.h"
#include "core/layout.h"
#include "core/types.h"

namespace gossamer {

// A model under training, as those see it who record, evaluate and checkpoint a run: a version that grows,
// the model that belongs to it, and everything that the next versions depend on.
class VersionedModel {
 public:
  virtual ~VersionedModel() = default;
  // Model versions made so far.
  virtual Round version() const noexcept = 0;
  // Throws RunError where its parts lie elsewhere and cannot be had.
  virtual const std::shared_ptr<const Parameters>& model() const = 0;
  // Between versions, where can_save(); nothing of the way to the next one is kept. restore() throws
  // FileError on what does not fit.
  virtual bool can_save() const noexcept { return true; }
  virtual void save(CheckpointWriter& writer) = 0;
  virtual void restore(const CheckpointReader& reader) = 0;
};

}  // namespace gossamer

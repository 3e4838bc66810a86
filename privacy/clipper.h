#pragma once

#include <span>

#include "core/registry.h"
#include "core/update.h"

namespace gossamer {

// Bounds what one client can contribute. clip() is the only way to a ClippedUpdate. Stateless; one instance
// may serve all clients of a thread.
class Clipper {
 public:
  virtual ~Clipper() = default;
  ClippedUpdate clip(Update update) {
    clip_values(update.values);
    return {update.info, std::move(update.values)};
  }

 private:
  virtual void clip_values(std::span<float> values) = 0;  // in place
};

const Registry<Clipper>& clippers();

}  // namespace gossamer

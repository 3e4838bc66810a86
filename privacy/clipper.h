#pragma once

#include <span>

#include "core/layout.h"
#include "core/registry.h"
#include "core/update.h"

namespace gossamer {

// Bounds what one client can contribute. clip() is the only way to a ClippedUpdate. Stateless; one instance
// may serve all clients of a thread.
class Clipper {
 public:
  virtual ~Clipper() = default;
  // `told`: the round's clip norm, where the server says one (WorkTerms). Requires takes(told).
  ClippedUpdate clip(Update update, double told = 0) {
    if (reads_values()) update.bring_to_host();
    bound(update, told);
    return ClippedUpdate(std::move(update));
  }
  virtual bool takes(double told) const noexcept { return told == 0; }

 private:
  virtual void bound(Update& update, double told) = 0;  // in place
  virtual bool reads_values() const noexcept { return true; }
};

// `privacy.clipping`: of a private run.
const Registry<Clipper, const ParameterLayout&>& clippers();

// What this run clips on a client's journey: nothing without privacy; with privacy.placement = example the
// update has its noise already, and loses only what must not leave (see conceal()).
std::unique_ptr<Clipper> make_clipper(const Options& options, const ParameterLayout& layout);

}  // namespace gossamer

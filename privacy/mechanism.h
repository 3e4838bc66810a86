#pragma once

#include <span>

#include "core/registry.h"
#include "core/update.h"

namespace gossamer {

// Adds a mechanism's noise to a clipped update. privatize() is the only way to a PrivateUpdate.
class PrivacyMechanism {
 public:
  virtual ~PrivacyMechanism() = default;
  PrivateUpdate privatize(ClippedUpdate update) {
    add_noise(update.values);
    return {update.info, std::move(update.values)};
  }

 private:
  virtual void add_noise(std::span<float> values) = 0;  // in place
};

const Registry<PrivacyMechanism>& privacy_mechanisms();

}  // namespace gossamer

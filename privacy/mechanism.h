#pragma once

#include <span>

#include "core/layout.h"
#include "core/registry.h"
#include "core/update.h"

namespace gossamer {

// Adds a mechanism's noise to a clipped update. privatize() is the only way to a PrivateUpdate.
class PrivacyMechanism {
 public:
  virtual ~PrivacyMechanism() = default;
  PrivateUpdate privatize(ClippedUpdate update) {
    add_noise(update.info, update.values);
    return {update.info, std::move(update.values)};
  }

 private:
  virtual void add_noise(const UpdateInfo& info, std::span<float> values) = 0;  // in place
};

// `privacy.mechanism`, as with privacy.placement = client.
const Registry<PrivacyMechanism, const ParameterLayout&>& privacy_mechanisms();

// What this run adds on a client's journey: nothing, but for privacy.placement = client.
std::unique_ptr<PrivacyMechanism> make_mechanism(const Options& options, const ParameterLayout& layout);

}  // namespace gossamer

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
    if (reads_values()) update.bring_to_host();
    add_noise(update.info, update.values);
    return PrivateUpdate(std::move(update));
  }

 private:
  virtual void add_noise(const UpdateInfo& info, std::span<float> values) = 0;  // in place
  virtual bool reads_values() const noexcept { return true; }
};

// `privacy.mechanism`, as with privacy.placement = client.
const Registry<PrivacyMechanism, const ParameterLayout&>& privacy_mechanisms();

// What this run adds on a client's journey: nothing, but for privacy.placement = client.
std::unique_ptr<PrivacyMechanism> make_mechanism(const Options& options, const ParameterLayout& layout);

}  // namespace gossamer

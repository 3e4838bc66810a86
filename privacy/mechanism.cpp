#include "privacy/mechanism.h"

#include "privacy/methods.h"
#include "privacy/privacy_plan.h"

namespace gossamer {

std::unique_ptr<PrivacyMechanism> make_mechanism(const Options& options, const ParameterLayout& layout) {
  if (privacy_plan(options).placement != Placement::client) return make_no_mechanism(options, layout);
  return privacy_mechanisms().make(options, layout);
}

}  // namespace gossamer

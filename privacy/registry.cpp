#include "privacy/methods.h"

namespace gossamer {

const Registry<Clipper>& clippers() {
  static const Registry<Clipper> table{"clippers",
                                       "privacy.clipping",
                                       "none",
                                       "how an update's influence is bounded before noise",
                                       {{{"none", "no bound", "", {}}, make_no_clipper}}};
  return table;
}

const Registry<PrivacyMechanism>& privacy_mechanisms() {
  static const Registry<PrivacyMechanism> table{
      "mechanisms",
      "privacy.mechanism",
      "none",
      "the noise that makes an update private",
      {{{"none", "no noise, no privacy claim", "", {}}, make_no_mechanism}}};
  return table;
}

}  // namespace gossamer

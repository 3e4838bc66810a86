// Must not compile: noise is added to an update that was not clipped.
#include "privacy/mechanism.h"

namespace gossamer {

PrivateUpdate add_noise(PrivacyMechanism& mechanism, Update update) {
  return mechanism.privatize(std::move(update));
}

}  // namespace gossamer

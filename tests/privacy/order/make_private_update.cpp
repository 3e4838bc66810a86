// Must not compile: an update passes for private that no mechanism has seen.
#include "core/update.h"

namespace gossamer {

PrivateUpdate pretend(ClippedUpdate update) { return PrivateUpdate(std::move(update)); }

}  // namespace gossamer

// Must not compile: an update passes for private that no mechanism has seen.
#include "core/update.h"

namespace gossamer {

PrivateUpdate pretend(Update update) { return PrivateUpdate{update.info, std::move(update.values)}; }

}  // namespace gossamer

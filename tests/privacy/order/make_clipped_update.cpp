// Must not compile: an update passes for clipped that no clipper has seen.
#include "core/update.h"

namespace gossamer {

ClippedUpdate pretend(Update update) { return ClippedUpdate(std::move(update)); }

}  // namespace gossamer

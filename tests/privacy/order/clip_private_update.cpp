// Must not compile: clipping comes after the noise.
#include "privacy/clipper.h"

namespace gossamer {

ClippedUpdate clip(Clipper& clipper, PrivateUpdate update) { return clipper.clip(std::move(update)); }

}  // namespace gossamer

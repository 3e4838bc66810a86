// Must not compile: a class of one's own does not help either.
#include "core/update.h"

namespace gossamer {

struct Pretended : PrivateUpdate {
  explicit Pretended(ClippedUpdate update) : PrivateUpdate(std::move(update)) {}
};

}  // namespace gossamer

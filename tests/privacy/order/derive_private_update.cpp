// Must not compile: a class of one's own does not help either.
#include "core/update.h"

namespace gossamer {

struct Pretended : PrivateUpdate {
  explicit Pretended(Update update) : PrivateUpdate(update.info, std::move(update.values)) {}
};

}  // namespace gossamer

// Asynchronous: every update makes a new model version as it comes in, and its sender goes on from there.
#include "server/sync/methods.h"

namespace gossamer {
namespace {

class Async final : public SyncPolicy {
 public:
  bool ready(const Progress& progress) const override { return progress.applied > 0; }
};

}  // namespace

std::unique_ptr<SyncPolicy> make_async(const Options&) { return std::make_unique<Async>(); }

}  // namespace gossamer

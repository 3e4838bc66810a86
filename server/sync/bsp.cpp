// Bulk-synchronous: a round ends when nobody is waited for any more.
#include "server/sync/methods.h"

namespace gossamer {
namespace {

class Bsp final : public SyncPolicy {
 public:
  bool ready(const Progress& progress) const override {
    return progress.deadline_passed || progress.arrived + progress.lost == progress.started;
  }
};

}  // namespace

std::unique_ptr<SyncPolicy> make_bsp(const Options&) { return std::make_unique<Bsp>(); }

}  // namespace gossamer

// Bulk-synchronous: a round ends when nobody is waited for any more. With backup workers (Chen, Pan, Monga,
// Bengio, Jozefowicz: "Revisiting distributed synchronous SGD", 2016) b more than the cohort are started and
// the first N updates of this round end it; the others are dropped.
#include "server/sync/methods.h"

namespace gossamer {
namespace {

class Bsp final : public SyncPolicy {
 public:
  explicit Bsp(const Options& options)
      : backups_(options.integer("sync.backup_workers")), cancels_(options.text("sync.late") == "cancel") {}

  bool lockstep() const override { return true; }
  std::int64_t backups() const override { return backups_; }
  bool cancels_late_work() const override { return cancels_; }
  bool ready(const Progress& progress) const override {
    return progress.deadline_passed || progress.arrived >= progress.needed ||
           progress.arrived + progress.lost == progress.started;
  }

 private:
  std::int64_t backups_;
  bool cancels_;
};

}  // namespace

std::unique_ptr<SyncPolicy> make_bsp(const Options& options) { return std::make_unique<Bsp>(options); }

}  // namespace gossamer

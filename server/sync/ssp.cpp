// Stale-synchronous parallel (Ho, Cipar, Cui, Lee, Kim, Gibbons, Gibson, Ganger, Xing: "More effective
// distributed ML via a stale synchronous parallel parameter server", NeurIPS 2013): a worker that has
// completed c rounds of work may read the model and go on once everybody has completed c - s of them, so that
// no read misses an update stamped c - s - 1 or earlier. Each update moves the model by its share, 1 /
// workers, as it comes in. A round of the run is over when the slowest worker has completed it; s = 0 is bsp.
#include "server/sync/methods.h"

namespace gossamer {
namespace {

class Ssp final : public SyncPolicy {
 public:
  explicit Ssp(const Options& options) : bound_(options.integer("sync.staleness")) {}

  bool everybody_works() const override { return true; }
  bool ready(const Progress& progress) const override { return progress.slowest >= progress.round; }
  bool may_start(const Progress& progress, Round clock) const override {
    return clock - bound_ <= progress.slowest;
  }
  double denominator(const Progress& progress) const override {
    return static_cast<double>(progress.workers);
  }

 private:
  Round bound_;
};

}  // namespace

std::unique_ptr<SyncPolicy> make_ssp(const Options& options) { return std::make_unique<Ssp>(options); }

}  // namespace gossamer

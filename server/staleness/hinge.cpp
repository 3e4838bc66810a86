// s(d) = 1 up to d = b, then 1 / (a (d - b) + 1) (Xie, Koyejo, Gupta: "Asynchronous federated optimization",
// 2019).
#include "server/staleness/methods.h"

namespace gossamer {
namespace {

class Hinge final : public StalenessWeight {
 public:
  Hinge(double a, Round b) : a_(a), b_(b) {}
  double of(Round staleness) const override {
    return staleness <= b_ ? 1 : 1 / (a_ * static_cast<double>(staleness - b_) + 1);
  }

 private:
  double a_;
  Round b_;
};

}  // namespace

std::unique_ptr<StalenessWeight> make_hinge_weight(const Options& options) {
  return std::make_unique<Hinge>(options.real("sync.staleness_weight.hinge.a"),
                                 options.integer("sync.staleness_weight.hinge.b"));
}

}  // namespace gossamer

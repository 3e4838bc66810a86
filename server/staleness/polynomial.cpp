// s(d) = (1 + d)^-a (Xie, Koyejo, Gupta: "Asynchronous federated optimization", 2019; FedBuff uses a = 1/2).
#include <cmath>

#include "server/staleness/methods.h"

namespace gossamer {
namespace {

class Polynomial final : public StalenessWeight {
 public:
  explicit Polynomial(double a) : a_(a) {}
  double of(Round staleness) const override { return std::pow(1 + static_cast<double>(staleness), -a_); }

 private:
  double a_;
};

}  // namespace

std::unique_ptr<StalenessWeight> make_polynomial_weight(const Options& options) {
  return std::make_unique<Polynomial>(options.real("sync.staleness_weight.polynomial.a"));
}

}  // namespace gossamer

// Renyi differential privacy (Mironov 2017): divergences of a fixed grid of orders, which add up over
// releases; the order that gives the least epsilon counts.
#include <algorithm>
#include <cmath>
#include <limits>

#include "core/text.h"
#include "privacy/accountants/methods.h"
#include "privacy/accountants/renyi.h"

namespace gossamer {
namespace {

class Rdp final : public PrivacyAccountant {
 public:
  explicit Rdp(Conversion conversion)
      : conversion_(conversion), spent_(renyi_orders().size()), step_(renyi_orders().size()) {}

  double epsilon(double delta) const override { return best(delta).epsilon; }

  double delta(double epsilon) const override {
    if (ledger().empty()) return 0;
    double least = 1;
    for (std::size_t i = 0; i < spent_.size(); ++i)
      least = std::min(least, delta_of(renyi_orders()[i], spent_[i], epsilon, conversion_));
    return least;
  }

  std::string explain(double delta) const override {
    return std::string("Renyi order ") + shortest(best(delta).order) + ", " +
           (conversion_ == Conversion::classic ? "classic" : "improved") + " conversion";
  }

 private:
  struct Best {
    double epsilon, order;
  };
  Best best(double delta) const {
    const auto orders = renyi_orders();
    if (ledger().empty()) return {0, orders.back()};
    Best best{std::numeric_limits<double>::infinity(), orders.front()};
    for (std::size_t i = 0; i < spent_.size(); ++i) {
      const double epsilon = epsilon_of(orders[i], spent_[i], delta, conversion_);
      if (epsilon < best.epsilon) best = {epsilon, orders[i]};
    }
    return best;
  }

  void spend(const PrivacyEvent& event) override {
    if (event.mechanism != known_.mechanism || event.noise_multiplier != known_.noise_multiplier ||
        event.sampling_rate != known_.sampling_rate) {
      std::ranges::transform(renyi_orders(), step_.begin(),
                             [&](double order) { return renyi_divergence(event, order); });
      known_ = event;
    }
    for (std::size_t i = 0; i < spent_.size(); ++i) spent_[i] += static_cast<double>(event.steps) * step_[i];
  }

  void forget() override { std::ranges::fill(spent_, 0.0); }

  Conversion conversion_;
  std::vector<double> spent_;  // parallel to renyi_orders()
  std::vector<double> step_;   // of one step of `known_`
  PrivacyEvent known_{NoiseKind::gaussian, 0, 0, 0};
};

}  // namespace

std::unique_ptr<PrivacyAccountant> make_rdp(const Options& options) {
  return std::make_unique<Rdp>(options.text("privacy.rdp.conversion") == "classic" ? Conversion::classic
                                                                                   : Conversion::improved);
}

}  // namespace gossamer

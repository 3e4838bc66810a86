#include "privacy/accountants/loss_sum.h"

#include <algorithm>
#include <cmath>

namespace gossamer {
namespace {

// Orders that are looked at, in reciprocal standard deviations of the sum. Where the loss is bounded no order
// may be enough, and too high a one leaves nothing but the highest loss.
constexpr double kLeastOrder = 1e-6;
constexpr double kMostOrder = 40;
constexpr int kHalvings = 50;

// A normal distribution has exp(log_tail) at half of it.
double most_order(double log_tail) { return 2 * std::sqrt(-2 * log_tail) + 1; }

// Where a function that increases changes its sign, between two positive numbers.
template <class Function>
double crossing(double low, double high, Function&& function) {
  for (int i = 0; i < kHalvings; ++i) {
    const double middle = std::sqrt(low * high);
    (function(middle) < 0 ? low : high) = middle;
  }
  return std::sqrt(low * high);
}

}  // namespace

LossSum::LossSum(std::span<const PrivacyEvent> events, Direction direction) {
  double mean = 0, variance = 0;
  for (const PrivacyEvent& event : events) {
    points_.emplace_back(event, direction);
    counts_.push_back(static_cast<double>(event.steps));
    steps_ += counts_.back();
    const auto moments = points_.back().moments(0);
    mean += counts_.back() * moments.mean;
    variance += counts_.back() * moments.variance;
  }
  // With next to no noise a record that is not there leaves next to no doubt that it is not: the loss is a
  // constant.
  deviation_ = std::max(std::sqrt(variance), 1e-6 * std::abs(mean) + 1e-12);
}

LossPoints::Moments LossSum::cumulant(double order) const {
  LossPoints::Moments sum;
  for (std::size_t i = 0; i < points_.size(); ++i) {
    const auto one = points_[i].moments(order);
    sum.log_sum += counts_[i] * one.log_sum;
    sum.mean += counts_[i] * one.mean;
    sum.variance += counts_[i] * one.variance;
  }
  return sum;
}

LossSum::Bound LossSum::tail(double order, int sign, double log_tail) const {
  const double base = order == 0 ? 0 : cumulant(order).log_sum;
  const double further =
      crossing(kLeastOrder / deviation_, most_order(log_tail) / deviation_, [&](double tilt) {
        const auto at = cumulant(order + sign * tilt);
        return sign * tilt * at.mean - (at.log_sum - base) + log_tail;
      });
  const double exponent = cumulant(order + sign * further).log_sum - base - log_tail;
  return {sign * exponent / further, further};
}

double LossSum::order_with_mean(double mean) const {
  return crossing(kLeastOrder / deviation_, kMostOrder / deviation_,
                  [&](double order) { return cumulant(order).mean - mean; });
}

}  // namespace gossamer

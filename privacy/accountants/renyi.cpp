#include "privacy/accountants/renyi.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>
#include <vector>

#include "privacy/accountants/privacy_loss.h"

namespace gossamer {
namespace {

constexpr double kMinusInfinity = -std::numeric_limits<double>::infinity();
constexpr double kLogNegligible =
    -34;  // the series' terms below exp(this) of its sum; what is left out is added

double log_add(double a, double b) {
  const double high = std::max(a, b), low = std::min(a, b);
  return low == kMinusInfinity ? high : high + std::log1p(std::exp(low - high));
}

// ln(exp(x) - 1), x > 0.
double log_expm1(double x) { return x > 1 ? x + std::log1p(-std::exp(-x)) : std::log(std::expm1(x)); }

// ln erfc(x): where erfc underflows, by its asymptotic series.
double log_erfc(double x) {
  if (x < 25) return std::log(std::erfc(x));
  const double y = 1 / (x * x);
  return -x * x - std::log(x * std::sqrt(std::numbers::pi)) + std::log1p(y * (-0.5 + y * (0.75 - 1.875 * y)));
}

// ln E[(1 - q + q exp(s))^order] of a whole order: the sum less 1, whose terms are all positive.
double log_moment_of_whole_order(double q, double sigma, int order) {
  const double log_q = std::log(q), log_rest = std::log1p(-q);
  double less_one = kMinusInfinity;
  for (int k = 2; k <= order; ++k) {
    const double log_binomial =
        std::lgamma(order + 1.0) - std::lgamma(k + 1.0) - std::lgamma(order - k + 1.0);
    less_one = log_add(less_one, log_binomial + k * log_q + (order - k) * log_rest +
                                     log_expm1(0.5 * k * (k - 1.0) / (sigma * sigma)));
  }
  return log_add(0, less_one);
}

// The same of any order: both halves of the line as binomial series, cut off where their terms cross. From
// the order on the terms change their sign and fall, so that the first one left out bounds all of them.
double log_moment_of_order(double q, double sigma, double order) {
  const double log_q = std::log(q), log_rest = std::log1p(-q);
  const double cut = sigma * sigma * (log_rest - log_q) + 0.5;
  const double scale = std::numbers::sqrt2 * sigma;
  double positive = kMinusInfinity, negative = kMinusInfinity;
  double log_binomial = 0;
  bool is_negative = false;
  for (int i = 0;; ++i) {
    const double j = order - i;
    const double left =
        i * log_q + j * log_rest + 0.5 * (i * i - i) / (sigma * sigma) + log_erfc((i - cut) / scale);
    const double right =
        j * log_q + i * log_rest + 0.5 * (j * j - j) / (sigma * sigma) + log_erfc((cut - j) / scale);
    const double term = log_binomial - std::numbers::ln2 + log_add(left, right);
    if (i > order + 1 && term < positive + kLogNegligible) {
      positive = log_add(positive, term);
      break;
    }
    double& sum = is_negative ? negative : positive;
    sum = log_add(sum, term);
    log_binomial += std::log(std::abs(j)) - std::log(i + 1.0);
    is_negative = is_negative != (j < 0);
  }
  if (negative == kMinusInfinity) return std::max(0.0, positive);
  return std::max(0.0, positive + std::log1p(-std::exp(negative - positive)));
}

double gaussian_divergence(double q, double sigma, double order) {
  if (q == 1) return order / (2 * sigma * sigma);
  const double moment = order == std::floor(order)
                            ? log_moment_of_whole_order(q, sigma, static_cast<int>(order))
                            : log_moment_of_order(q, sigma, order);
  return moment / (order - 1);
}

// ln E[ratio^order] over releases without the record, where the ratio's mean is 1: as the mean of
// ratio^order - 1 - order (ratio - 1), whose terms are all positive, unless they are beyond doubles.
double log_moment_of_points(const LossPoints& points, double order) {
  double most = 0;
  for (const auto& point : points.points) most = std::max(most, std::abs(order * point.loss));
  if (most > 500) return std::max(0.0, points.moments(order).log_sum);
  double sum = 0;
  for (const auto& [log_mass, loss] : points.points)
    sum += std::exp(log_mass) * std::max(0.0, std::expm1(order * loss) - order * std::expm1(loss));
  return std::log1p(sum);
}

double divergence_of_points(const PrivacyEvent& event, double order) {
  LossPoints points(event, Direction::add, 1 / order);  // exp(order * s) is to be integrated
  for (auto& point : points.points) point.loss = -point.loss;
  return std::max(log_moment_of_points(points, order), log_moment_of_points(points, 1 - order)) / (order - 1);
}

}  // namespace

std::span<const double> renyi_orders() {
  static const std::vector<double> orders = [] {
    std::vector<double> all;
    for (int tenth = 11; tenth < 110; ++tenth) all.push_back(tenth / 10.0);
    for (int order = 11; order < 64; ++order) all.push_back(order);
    for (const int order : {128, 256, 512, 1024}) all.push_back(order);
    return all;
  }();
  return orders;
}

double renyi_divergence(const PrivacyEvent& event, double order) {
  return event.mechanism == NoiseKind::gaussian
             ? gaussian_divergence(event.sampling_rate, event.noise_multiplier, order)
             : divergence_of_points(event, order);
}

double epsilon_of(double order, double divergence, double delta, Conversion conversion) {
  const double classic = divergence - std::log(delta) / (order - 1);
  const double epsilon = conversion == Conversion::classic
                             ? classic
                             : classic - std::log(order) / (order - 1) + std::log1p(-1 / order);
  return std::max(0.0, epsilon);
}

double delta_of(double order, double divergence, double epsilon, Conversion conversion) {
  const double classic = (order - 1) * (divergence - epsilon);
  const double log_delta = conversion == Conversion::classic
                               ? classic
                               : classic + (order - 1) * std::log1p(-1 / order) - std::log(order);
  return std::exp(std::min(0.0, log_delta));
}

}  // namespace gossamer

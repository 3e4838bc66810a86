#include "privacy/accountants/privacy_loss.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>

namespace gossamer {
namespace {

constexpr double kWidth = 0.1;        // of a panel, in standard deviations or scales
constexpr double kKinkWidth = 0.25;   // and where ln(1 - q + q exp(s)) bends, in s
constexpr double kKinkReach = 40;     // how far from its kink it is a straight line in double precision
constexpr double kLogNothing = -700;  // of a probability that is as good as none

}  // namespace

LossFunction::LossFunction(const PrivacyEvent& event)
    : mechanism_(event.mechanism),
      noise_(event.noise_multiplier),
      rate_(event.sampling_rate),
      log_rate_(std::log(event.sampling_rate)) {
  const double most = 1 / noise_;
  if (mechanism_ == NoiseKind::laplace) {
    atoms_ = {{-most, -std::numbers::ln2}, {most, -std::numbers::ln2 - most}};
  } else if (mechanism_ == NoiseKind::pure) {
    const double log_all = std::log1p(std::exp(-most));
    atoms_ = {{-most, -log_all}, {most, -most - log_all}};
  }
}

double LossFunction::loss(double s) const {
  if (rate_ == 1) return s;
  if (s > 30) return s + std::log(rate_ + (1 - rate_) * std::exp(-s));
  return std::log1p(rate_ * std::expm1(s));
}

double LossFunction::ratio(double loss) const {
  if (rate_ == 1) return loss;
  if (loss > 30) return loss - log_rate_ + std::log1p(-(1 - rate_) * std::exp(-loss));
  const double ratio = std::expm1(loss) / rate_;
  return ratio <= -1 ? -std::numeric_limits<double>::infinity() : std::log1p(ratio);
}

double LossFunction::log_density(double s) const {
  if (mechanism_ == NoiseKind::pure) return -std::numeric_limits<double>::infinity();
  if (mechanism_ == NoiseKind::laplace) return -2 * std::numbers::ln2 - (s + 1 / noise_) / 2;
  const double y = noise_ * s + 0.5 / noise_;
  return std::log(noise_) - 0.5 * std::log(2 * std::numbers::pi) - 0.5 * y * y;
}

// The normal tail beyond z is less than exp(-z^2 / 2) / 2.
LossFunction::Range LossFunction::range(double log_tail) const {
  if (mechanism_ != NoiseKind::gaussian) return {-1 / noise_, 1 / noise_};
  const double z = std::sqrt(-2 * std::min(log_tail, -1.0));
  const double middle = 0.5 / (noise_ * noise_);
  return {-middle - z / noise_, middle + z / noise_};
}

double LossFunction::step(double s) const {
  const double width = mechanism_ == NoiseKind::gaussian ? kWidth / noise_ : kWidth;
  if (rate_ == 1) return width;
  const double kink = std::log1p(-rate_) - log_rate_;
  const double distance = std::abs(s - kink);
  if (distance < kKinkReach) return std::min(width, kKinkWidth);
  return s < kink ? std::min(width, distance - kKinkReach + kKinkWidth) : width;
}

const std::vector<QuadratureNode>& five_nodes() {
  static const std::vector<QuadratureNode> nodes = [] {
    const double a = 2 * std::sqrt(10.0 / 7), r = std::sqrt(70.0);
    const double inner = std::sqrt(5 - a) / 3, outer = std::sqrt(5 + a) / 3;
    const double w_inner = (322 + 13 * r) / 900, w_outer = (322 - 13 * r) / 900;
    return std::vector<QuadratureNode>{
        {-outer, w_outer}, {-inner, w_inner}, {0, 128.0 / 225}, {inner, w_inner}, {outer, w_outer}};
  }();
  return nodes;
}

const std::vector<QuadratureNode>& three_nodes() {
  static const std::vector<QuadratureNode> nodes{
      {-std::sqrt(0.6), 5.0 / 9}, {0, 8.0 / 9}, {std::sqrt(0.6), 5.0 / 9}};
  return nodes;
}

LossPoints::LossPoints(const PrivacyEvent& event, Direction direction, double longest) {
  const LossFunction function(event);
  const auto add = [&](double s, double log_mass) {
    const double loss = function.loss(s);
    if (direction == Direction::remove) {
      points.push_back({log_mass + loss, loss});
    } else {
      points.push_back({log_mass, -loss});
    }
  };
  const auto [low, high] = function.range(kLogNothing);
  for (double s = low; s < high;) {
    const double end = std::min(high, s + std::min(longest, function.step(s))), half = (end - s) / 2;
    for (const auto [position, weight] : five_nodes()) {
      const double at = s + half * (1 + position);
      add(at, function.log_density(at) + std::log(weight * half));
    }
    s = end;
  }
  for (const auto [s, log_mass] : function.atoms()) add(s, log_mass);
}

LossPoints::Moments LossPoints::moments(double order) const {
  double largest = -std::numeric_limits<double>::infinity();
  for (const Point& point : points) largest = std::max(largest, point.log_mass + order * point.loss);
  double sum = 0, first = 0, second = 0;
  for (const Point& point : points) {
    const double weight = std::exp(point.log_mass + order * point.loss - largest);
    if (weight == 0) continue;
    // Welford's way: the variance is tiny beside the squared mean where there is little noise.
    sum += weight;
    const double off = point.loss - first;
    first += off * weight / sum;
    second += weight * off * (point.loss - first);
  }
  return {largest + std::log(sum), first, second / sum};
}

}  // namespace gossamer

#include "privacy/accountants/loss_composition.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <complex>
#include <limits>
#include <optional>

#include "privacy/accountants/fourier.h"
#include "privacy/accountants/loss_grid.h"
#include "privacy/accountants/loss_sum.h"

namespace gossamer {
namespace {

using Complex = std::complex<double>;

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr double kHalfEpsilon = std::numeric_limits<double>::epsilon() / 2;
constexpr std::size_t kLeastPoints = std::size_t{1} << 14U;
constexpr std::size_t kMostPoints = std::size_t{1} << 21U;
constexpr double kFewCells = 1 << 17;
constexpr double kAddedVariance = 1e-5;  // that dividing between points may add, relative
constexpr double kMoved = 1e-5;          // epsilon, by the same; relative where it is above 1
constexpr double kStepRounding = 1e-13;  // of one step's probabilities: a generous bound
constexpr double kLogOutside = -20;      // of the tilted sum, at either end
constexpr double kLogLost = -20;         // what counts as infinite loss, relative to delta

// Of the probabilities on the grid, all relative. They are products of exponentials whose exponents grow with
// 1 / noise^2.
double step_rounding(const PrivacyEvent& event) {
  return kStepRounding * std::max(1.0, 0.01 / (event.noise_multiplier * event.noise_multiplier));
}

// Where to look: the tilt, and the points that are kept.
struct Window {
  double order = 0;         // of the tilt
  double beyond_order = 0;  // at which Chernoff's bound on what lies above the window is good
  double width = 0;         // between two points
  std::int64_t first = 0;   // the lowest point, in widths
  std::size_t size = 0;     // a power of two
  double log_end = 0;       // of a probability that one step may lose at either end

  double point(std::size_t k) const {
    return static_cast<double>(first + static_cast<std::int64_t>(k)) * width;
  }
  // Of the point number `at`, all around the circle.
  std::size_t index(std::int64_t at) const { return static_cast<std::size_t>(at) & (size - 1); }
};

double widest_step(std::span<const PrivacyEvent> events, double log_end) {
  double widest = 0;
  for (const PrivacyEvent& event : events) {
    const LossFunction function(event);
    const auto [low, high] = function.range(log_end);
    widest = std::max(widest, function.loss(high) - function.loss(low));
  }
  return widest;
}

Window make_window(std::span<const PrivacyEvent> events, const LossSum& sum, double order, double log_delta,
                   std::optional<double> epsilon) {
  Window window;
  window.order = order;
  window.log_end = log_delta + kLogLost - std::log(sum.steps());
  const auto beyond = sum.tail(0, 1, log_delta + kLogLost);
  window.beyond_order = beyond.order;
  const double least = 1e-3 * sum.deviation();
  double low = sum.tail(order, -1, kLogOutside).loss;
  if (epsilon) low = std::min(low, *epsilon - least);
  const double high = std::max({beyond.loss, sum.tail(order, 1, kLogOutside).loss, low + least});

  // Dividing what lies between two points adds a sixth of the squared width to the variance of a step.
  const auto tilted = sum.cumulant(order);
  const double variance = std::max(tilted.variance, 1e-4 * sum.deviation() * sum.deviation());
  const double widest = widest_step(events, window.log_end);
  const double added = std::sqrt(6 * kAddedVariance * variance / sum.steps());
  // Under the tilt it moves the sum by order / 2 times that, which counts where the variance is that of rare
  // steps.
  const double moved = std::sqrt(12 * kMoved * std::max(1.0, tilted.mean) / (order * sum.steps()));
  const double enough = std::max(std::min(added, moved), widest / static_cast<double>(kMostPoints));
  const double points = std::min((high - low) / enough, static_cast<double>(kMostPoints - 4));
  window.size = std::clamp(std::bit_ceil(static_cast<std::size_t>(points) + 4), kLeastPoints, kMostPoints);
  window.width =
      std::max((high - low) / static_cast<double>(window.size - 4), std::min(enough, widest / kFewCells));
  window.first = static_cast<std::int64_t>(std::floor(low / window.width));
  return window;
}

Complex product(Complex a, Complex b) {
  return {a.real() * b.real() - a.imag() * b.imag(), a.real() * b.imag() + a.imag() * b.real()};
}

Complex power(Complex base, std::uint64_t exponent) {
  Complex result = 1;
  for (; exponent != 0; exponent >>= 1U) {
    if ((exponent & 1U) != 0) result = product(result, base);
    base = product(base, base);
  }
  return result;
}

// ln of the sum of masses times exp(tilt * number of the point).
double log_tilted_sum(const LossGrid& grid, double tilt, std::vector<double>& tilted) {
  double most = -kInfinity;
  tilted.resize(grid.masses.size());
  for (std::size_t i = 0; i < tilted.size(); ++i) {
    const auto point = static_cast<double>(grid.first + static_cast<std::int64_t>(i));
    tilted[i] = grid.masses[i] > 0 ? std::log(grid.masses[i]) + tilt * point : -kInfinity;
    most = std::max(most, tilted[i]);
  }
  double sum = 0;
  for (double& value : tilted) {
    value = std::exp(value - most);
    sum += value;
  }
  for (double& value : tilted) value /= sum;
  return most + std::log(sum);
}

// The tilted distribution of the sum, as it is built up: the product of the steps' transforms.
class TiltedSum {
 public:
  explicit TiltedSum(const Window& window)
      : window_(window),
        fourier_(window.size),
        product_(window.size, 1.0),
        log_size_(window.size / 2 + 1, 0.0),
        log_least_(window.size / 2 + 1, kInfinity) {}

  void add(const PrivacyEvent& event, Direction direction) {
    const LossGrid grid = loss_grid(event, direction, window_.width, window_.log_end);
    const auto steps = static_cast<double>(event.steps);
    steps_ += steps;
    rounding_ += steps * step_rounding(event);
    infinite_ += steps * grid.infinite;
    std::vector<double> tilted;
    log_beyond_ += steps * log_tilted_sum(grid, window_.beyond_order * window_.width, tilted);
    log_scale_ += steps * log_tilted_sum(grid, window_.order * window_.width, tilted);
    std::vector<Complex> values(window_.size);
    for (std::size_t i = 0; i < tilted.size(); ++i)
      values[window_.index(grid.first + static_cast<std::int64_t>(i))] += tilted[i];
    fourier_.forward(values);
    for (std::size_t k = 0; k < log_size_.size(); ++k) {
      const double log_size = std::log(std::abs(values[k]) + fourier_.error());
      log_size_[k] += steps * log_size;
      log_least_[k] = std::min(log_least_[k], log_size);
      product_[k] = product(product_[k], power(values[k], event.steps));
    }
  }

  // The probabilities of the window's points, without the tilt, each at least what it is on the grid.
  std::vector<double> masses() && {
    for (std::size_t k = 1; k < window_.size / 2; ++k) product_[window_.size - k] = std::conj(product_[k]);
    fourier_.inverse(product_);
    const double error = largest_error();
    const double rounding =
        rounding_ +
        16 * kHalfEpsilon * (std::abs(log_scale_) + window_.order * std::abs(window_.point(window_.size)));
    std::vector<double> masses(window_.size);
    for (std::size_t k = 0; k < window_.size; ++k) {
      const std::size_t index = window_.index(window_.first + static_cast<std::int64_t>(k));
      const double tilted = std::max(0.0, product_[index].real()) + error;
      masses[k] = tilted * std::exp(log_scale_ + rounding - window_.order * window_.point(k));
    }
    return masses;
  }

  // The probability that the sum lies above the window, at the most.
  double beyond() const {
    return infinite_ + std::exp(log_beyond_ - window_.beyond_order * window_.point(window_.size));
  }

 private:
  // Every frequency is wrong by the transform's error in each factor and by the roundings of the powers; the
  // inverse adds its own.
  double largest_error() const {
    double sizes = 0, errors = 0;
    const double of_power = 8 * kHalfEpsilon * (steps_ + 64);
    for (std::size_t k = 0; k < log_size_.size(); ++k) {
      const double times = k == 0 || k == window_.size / 2 ? 1 : 2;
      const double size = std::exp(log_size_[k]);
      sizes += times * size;
      errors +=
          times * (steps_ * fourier_.error() * std::exp(log_size_[k] - log_least_[k]) + of_power * size);
    }
    return (errors + fourier_.error() * (sizes + errors)) / static_cast<double>(window_.size);
  }

  const Window window_;
  const Fourier fourier_;
  std::vector<Complex> product_;
  std::vector<double> log_size_;   // of the product at each frequency up to the middle, and a bit more
  std::vector<double> log_least_;  // of its least factor
  double log_scale_ = 0;           // ln E exp(order * loss) on the grid
  double log_beyond_ = 0;          // the same of beyond_order
  double steps_ = 0;
  double infinite_ = 0;
  double rounding_ = 0;
};

// delta(epsilon) from the top down: between two points it is a straight line in exp(epsilon).
class LossCurve {
 public:
  LossCurve(std::span<const PrivacyEvent> events, Direction direction, const Window& window)
      : window_(window) {
    TiltedSum sum(window);
    for (const PrivacyEvent& event : events) sum.add(event, direction);
    beyond_ = sum.beyond();
    masses_ = std::move(sum).masses();
  }

  double epsilon(double delta) const {
    if (beyond_ >= delta) return kInfinity;
    double above = beyond_, reach = 0;  // delta at this point, and what it grows by below
    for (std::size_t k = window_.size; k-- > 0;) {
      reach += masses_[k];
      const double next = above - std::expm1(-window_.width) * reach;
      if (next > delta) return std::max(0.0, window_.point(k) + std::log1p((above - delta) / reach));
      if (window_.point(k) <= 0) return 0;
      above = next;
      reach *= std::exp(-window_.width);
    }
    return std::max(0.0, window_.point(0));
  }

  double delta(double epsilon) const {
    double above = beyond_, reach = 0;
    for (std::size_t k = window_.size; k-- > 0 && window_.point(k) > epsilon;) {
      reach += masses_[k];
      const double down = std::min(window_.width, window_.point(k) - epsilon);
      above -= std::expm1(-down) * reach;
      reach *= std::exp(-down);
    }
    return std::min(1.0, above);
  }

 private:
  const Window window_;
  std::vector<double> masses_;
  double beyond_ = 0;
};

}  // namespace

double composed_epsilon(std::span<const PrivacyEvent> events, Direction direction, double delta) {
  const LossSum sum(events, direction);
  const double order = sum.tail(0, 1, std::log(delta)).order;
  return LossCurve(events, direction, make_window(events, sum, order, std::log(delta), {})).epsilon(delta);
}

// The first look may be at the wrong place, where the loss has a heavy tail; both are bounds.
double composed_delta(std::span<const PrivacyEvent> events, Direction direction, double epsilon) {
  const LossSum sum(events, direction);
  double order = sum.order_with_mean(epsilon);
  double log_delta = std::min(-1.0, sum.cumulant(order).log_sum - order * epsilon);
  double least = 1;
  for (int look = 0; look < 2 && least > 0; ++look) {
    const Window window = make_window(events, sum, order, log_delta, epsilon);
    least = std::min(least, LossCurve(events, direction, window).delta(epsilon));
    log_delta = std::min(-1.0, std::log(least));
    order = sum.tail(0, 1, log_delta).order;
  }
  return least;
}

}  // namespace gossamer

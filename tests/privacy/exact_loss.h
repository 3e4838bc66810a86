#pragma once

#include <algorithm>
#include <cmath>
#include <complex>
#include <numbers>
#include <span>
#include <vector>

#include "privacy/accountants/accountant.h"

namespace gossamer::testing {

// delta(epsilon) of Gaussian events without any grid of losses, to about 11 digits: the inverse Laplace
// transform of M(z) / (z (z + 1)), where M(z) = E exp(z * loss) over all steps, along a line through the
// integrand's saddle; all integrals by the trapezoidal rule, which converges exponentially here. Not for a
// handful of steps of little noise, whose M falls too slowly.
class ExactLoss {
 public:
  // `removes`: with the record that the neighbour has not.
  ExactLoss(std::span<const PrivacyEvent> events, bool removes) {
    for (const PrivacyEvent& event : events) {
      parts_.push_back({{}, static_cast<double>(event.steps)});
      const double sigma = event.noise_multiplier, q = event.sampling_rate;
      const double step = std::min(0.05, 0.1 * sigma);
      for (double y = -16; y < 16 + 2 / sigma; y += step) {
        const double s = (y - 0.5 / sigma) / sigma;
        const double loss = q == 1 ? s : std::log1p(q * std::expm1(s));
        const double mass = std::exp(-y * y / 2) / std::sqrt(2 * std::numbers::pi) * step;
        parts_.back().points.push_back({removes ? mass * std::exp(loss) : mass, removes ? loss : -loss});
      }
    }
  }

  double delta(double epsilon) const {
    const double saddle = saddle_of(epsilon);
    const auto value = [&](double t) {
      const std::complex<double> z(saddle, t);
      return std::exp(log_moment(z) - z * epsilon - std::log(z) - std::log(z + 1.0)).real();
    };
    const double at_saddle = value(0);
    // The integrand's width, from its curvature.
    const double little = 1e-4 * saddle;
    const double curvature = (exponent(saddle + little, epsilon) - 2 * exponent(saddle, epsilon) +
                              exponent(saddle - little, epsilon)) /
                             (little * little);
    const double step = std::min(0.1 / std::sqrt(curvature), saddle / 20);
    double sum = at_saddle / 2;
    int small = 0;
    for (int k = 1; small < 50; ++k) {
      const double one = value(k * step);
      sum += one;
      small = std::abs(one) < 1e-14 * at_saddle ? small + 1 : 0;
      if (k > 5000) return std::nan("");
    }
    return sum * step / std::numbers::pi;
  }

 private:
  struct Point {
    double mass, loss;
  };
  struct Part {
    std::vector<Point> points;
    double steps;
  };

  std::complex<double> log_moment(std::complex<double> z) const {
    std::complex<double> sum = 0;
    for (const Part& part : parts_) {
      std::complex<double> moment = 0;
      for (const auto& [mass, loss] : part.points) moment += mass * std::exp(z * loss);
      sum += part.steps * std::log(moment);
    }
    return sum;
  }
  double exponent(double order, double epsilon) const {
    return log_moment(order).real() - order * epsilon - std::log(order) - std::log1p(order);
  }
  // Where the convex exponent is least, by golden sections in the logarithm.
  double saddle_of(double epsilon) const {
    double low = std::log(1e-3), high = std::log(1e4);
    const double ratio = (std::sqrt(5.0) - 1) / 2;
    for (int i = 0; i < 60; ++i) {
      const double a = high - ratio * (high - low), b = low + ratio * (high - low);
      const double of_a = exponent(std::exp(a), epsilon), of_b = exponent(std::exp(b), epsilon);
      // Beyond what doubles hold the moment is infinite.
      if (!(of_b < of_a))
        high = b;
      else
        low = a;
    }
    return std::exp((low + high) / 2);
  }

  std::vector<Part> parts_;
};

inline double exact_delta(std::span<const PrivacyEvent> events, double epsilon) {
  return std::max(ExactLoss(events, true).delta(epsilon), ExactLoss(events, false).delta(epsilon));
}

}  // namespace gossamer::testing

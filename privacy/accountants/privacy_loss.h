#pragma once

#include <cstdint>
#include <vector>

#include "privacy/accountants/accountant.h"

namespace gossamer {

// Which of two neighbouring data sets the release came from: the one with the record that the other has not,
// or the one without it.
enum class Direction { remove, add };

// The privacy loss of one release. Let s be the log-likelihood ratio between a release with the record and
// one without it, f(s) its density where the record does not take part. Under sampling at the rate q the
// ratio is 1 - q + q exp(s); its logarithm is the loss of `remove` (drawn with the record in the data), its
// negative that of `add`. A vector that noise is added to is as well distinguished as one number that the
// record changes by 1 (for Gaussian noise the rest is rotated away; for Laplace noise changes that are spread
// out tell less). Of all that is pure, randomized response tells most (Kairouz, Oh, Viswanath: "The
// composition theorem for differential privacy", ICML 2015): it is what stands for it.
class LossFunction {
 public:
  struct Atom {
    double s;
    double log_mass;
  };
  struct Range {
    double low, high;  // of s
  };

  explicit LossFunction(const PrivacyEvent& event);

  // ln(1 - q + q exp(s)), increasing in s.
  double loss(double s) const;
  // Its inverse; -infinity for a loss that none reaches.
  double ratio(double loss) const;
  // Of the continuous part of s, without the record.
  double log_density(double s) const;
  // Single values of s that have a probability.
  const std::vector<Atom>& atoms() const noexcept { return atoms_; }
  // Where the continuous part lies: outside the range at either end, with or without the record, there is
  // less than this probability (of which Gaussian noise alone needs any).
  Range range(double log_tail) const;
  // A step of s that is short beside all that changes around s.
  double step(double s) const;

 private:
  NoiseKind mechanism_;
  double noise_;
  double rate_;
  double log_rate_;
  std::vector<Atom> atoms_;
};

// The loss as points with probabilities, by Gauss and Legendre's quadrature: as good as exact for integrals
// of smooth functions, though no bound.
struct LossPoints {
  struct Point {
    double log_mass;
    double loss;
  };
  // No panel of the quadrature is longer than this, in s.
  LossPoints(const PrivacyEvent& event, Direction direction, double longest = 1e300);
  // E exp(order * loss) as its logarithm, with mean and variance of the loss under that weight.
  struct Moments {
    double log_sum = 0, mean = 0, variance = 0;
  };
  Moments moments(double order) const;

  std::vector<Point> points;
};

// Nodes and weights on [-1, 1].
struct QuadratureNode {
  double position, weight;
};
const std::vector<QuadratureNode>& five_nodes();
const std::vector<QuadratureNode>& three_nodes();

}  // namespace gossamer

#include "tests/privacy/audit.h"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <vector>

namespace gossamer::testing {
namespace {

// Of each of the two probabilities that a bound is made of, and of both bounds that one game gives.
constexpr double kRisk = 1e-3 / 4;

// Where an increasing function passes the value.
template <class Function>
double where(Function&& function, double value, double low, double high) {
  for (int i = 0; i < 100; ++i) (function((low + high) / 2) < value ? low : high) = (low + high) / 2;
  return (low + high) / 2;
}

// The regularised incomplete beta function by its continued fraction (Lentz), for x below its mean.
double beta_fraction(double a, double b, double x) {
  constexpr double kTiny = 1e-300;
  const auto part = [](double y) { return std::abs(y) < kTiny ? kTiny : y; };
  double c = 1, d = 1 / part(1 - (a + b) * x / (a + 1)), h = d;
  for (int m = 1; m <= 10'000; ++m) {
    const double even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m));
    d = 1 / part(1 + even * d), c = part(1 + even / c), h *= d * c;
    const double odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1));
    d = 1 / part(1 + odd * d), c = part(1 + odd / c), h *= d * c;
    if (std::abs(d * c - 1) < 1e-15) break;
  }
  return h *
         std::exp(std::lgamma(a + b) - std::lgamma(a) - std::lgamma(b) + a * std::log(x) +
                  b * std::log1p(-x)) /
         a;
}

double beta_distribution(double a, double b, double x) {
  return x < (a + 1) / (a + b + 2) ? beta_fraction(a, b, x) : 1 - beta_fraction(b, a, 1 - x);
}

double normal(double x) { return std::erfc(-x / std::numbers::sqrt2) / 2; }
double normal_quantile(double p) { return where(normal, p, -40, 40); }

// How often a test says "with", of so many games each.
struct Rates {
  double with, without, games;
};

// What a probability is at least and at most after k successes.
struct Bounds {
  std::function<double(double k, double n)> least, most;
};

const Bounds& exact_bounds() {
  static const Bounds bounds{[](double k, double n) { return least_probability(k, n, kRisk); },
                             [](double k, double n) { return most_probability(k, n, kRisk); }};
  return bounds;
}

// About the same (Wilson 1927) and quick: to choose a threshold, of which nothing is claimed.
const Bounds& rough_bounds() {
  constexpr double kDeviations = 3.5;
  static const auto bound = [](double k, double n, double sign) {
    const double z = kDeviations * kDeviations;
    return (k + z / 2 + sign * kDeviations * std::sqrt(k * (n - k) / n + z / 4)) / (n + z);
  };
  static const Bounds bounds{[](double k, double n) { return bound(k, n, -1); },
                             [](double k, double n) { return bound(k, n, 1); }};
  return bounds;
}

double shown_epsilon(const Rates& rates, double delta, const Bounds& bounds) {
  const auto shown = [&](double right, double wrong) {
    const double least = bounds.least(right, rates.games) - delta;
    return least > 0 ? std::log(least / bounds.most(wrong, rates.games)) : 0;
  };
  return std::max(
      {0.0, shown(rates.with, rates.without), shown(rates.games - rates.without, rates.games - rates.with)});
}

double shown_distance(const Rates& rates, const Bounds& bounds) {
  return std::max(0.0, normal_quantile(bounds.least(rates.with, rates.games)) -
                           normal_quantile(bounds.most(rates.without, rates.games)));
}

// Results of games, ascending.
struct Half {
  std::vector<double> with, without;

  Rates at(double threshold) const {
    const auto above = [&](const std::vector<double>& results) {
      return static_cast<double>(results.end() - std::ranges::upper_bound(results, threshold));
    };
    return {above(with), above(without), static_cast<double>(with.size())};
  }
};

Half play(const Game& game, std::uint64_t first, std::uint64_t trials) {
  Half half;
  for (std::uint64_t i = first; i < first + trials; ++i) {
    half.with.push_back(game(true, i));
    half.without.push_back(game(false, i));
  }
  std::ranges::sort(half.with);
  std::ranges::sort(half.without);
  return half;
}

// With the threshold that shows most on the first half.
template <class Shown>
double judged(const Half& first, const Half& second, Shown&& shown) {
  const std::size_t stride = std::max<std::size_t>(1, first.with.size() / 500);
  double best = -1, threshold = 0;
  for (const std::vector<double>* results : {&first.with, &first.without}) {
    for (std::size_t i = 0; i < results->size(); i += stride) {
      const double here = shown(first.at((*results)[i]), rough_bounds());
      if (here > best) best = here, threshold = (*results)[i];
    }
  }
  return shown(second.at(threshold), exact_bounds());
}

}  // namespace

double least_probability(double k, double n, double risk) {
  return k <= 0 ? 0 : where([&](double p) { return beta_distribution(k, n - k + 1, p); }, risk, 0, 1);
}

double most_probability(double k, double n, double risk) {
  return k >= n ? 1 : where([&](double p) { return beta_distribution(k + 1, n - k, p); }, 1 - risk, 0, 1);
}

double gaussian_epsilon(double distance, double delta) {
  if (distance <= 0) return 0;
  const auto minus_delta = [&](double epsilon) {
    return std::exp(epsilon) * normal(-epsilon / distance - distance / 2) -
           normal(-epsilon / distance + distance / 2);
  };
  return minus_delta(0) >= -delta ? 0 : where(minus_delta, -delta, 0, 600);
}

Evidence audit(const Game& game, std::uint64_t trials, double delta) {
  const Half first = play(game, 0, trials), second = play(game, trials, trials);
  const auto epsilon = [&](const Rates& rates, const Bounds& bounds) {
    return shown_epsilon(rates, delta, bounds);
  };
  return {judged(first, second, epsilon), gaussian_epsilon(judged(first, second, shown_distance), delta)};
}

}  // namespace gossamer::testing

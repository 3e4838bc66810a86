#include "server/adaptive_tau.h"

#include <algorithm>
#include <cmath>

namespace gossamer {
namespace {

// A loss that says that a client's training went out of bounds.
constexpr double kDiverged = 1e300;
// The search goes no further than so many times the tau before.
constexpr std::int64_t kLeap = 10;

struct Saved {
  std::int64_t steps, rounds;
  double best_loss, step_sum, exchange_sum;
  std::int32_t plan, measured;
};

double distance(const std::array<double, TauReport::kBuckets>& a,
                const std::array<double, TauReport::kBuckets>& b) {
  double sum = 0;
  for (std::size_t i = 0; i < a.size(); ++i) sum += (a[i] - b[i]) * (a[i] - b[i]);
  return std::sqrt(sum);
}

}  // namespace

double tau_gap(double tau, double lr, double beta, double delta) {
  if (delta <= 0) return 0;
  if (beta <= 0) return 0;  // the limit: (1 + lr beta)^tau - 1 is lr beta tau
  return delta / beta * std::expm1(tau * std::log1p(lr * beta)) - lr * delta * tau;
}

std::int64_t best_tau(const TauEstimates& estimates, double lr, double phi, Seconds budget,
                      std::int64_t most) {
  const double c = estimates.step_s, b = estimates.exchange_s;
  std::int64_t best = 1;
  double least = INFINITY;
  for (std::int64_t tau = 1; tau <= most; ++tau) {
    const auto t = static_cast<double>(tau);
    const double steps = (budget - c - b) * t / (c * t + b);
    if (!(steps > 0)) continue;
    const double h = tau_gap(t, lr, estimates.beta, estimates.delta);
    const double bound =
        (1 + std::sqrt(1 + 4 * steps * steps * phi * estimates.rho * lr * h / t)) / (2 * steps * lr * phi) +
        estimates.rho * h;
    if (bound < least) {
      least = bound;
      best = tau;
    }
  }
  return best;
}

AdaptiveTau::Verdict AdaptiveTau::observe(const std::vector<Reported>& reports, Seconds since, Seconds now) {
  const std::int64_t done = steps();
  double weight = 0, loss = 0, rho = 0, beta = 0, step_s = 0;
  std::array<double, TauReport::kBuckets> mean{};
  for (const auto& [n, report] : reports) {
    weight += n;
    loss += n * report.loss;
    rho += n * report.rho;
    beta += n * report.beta;
    step_s = std::max(step_s, report.step_s);  // a round takes as long as its slowest
    for (std::size_t i = 0; i < mean.size(); ++i) mean[i] += n * report.gradient[i];
  }
  if (weight <= 0) {
    if (plan_ == Plan::measure) plan_ = Plan::end;
    return Verdict::worse;
  }
  for (double& bucket : mean) bucket /= weight;
  TauEstimates estimates{rho / weight, beta / weight, 0, 0, 0};
  for (const auto& [n, report] : reports) estimates.delta += n / weight * distance(report.gradient, mean);
  ++rounds_;
  step_sum_ += step_s;
  exchange_sum_ += std::max(0.0, now - since - static_cast<double>(done) * step_s);
  estimates.step_s = step_sum_ / static_cast<double>(rounds_);
  estimates.exchange_s = exchange_sum_ / static_cast<double>(rounds_);

  loss /= weight;
  Verdict verdict = Verdict::worse;
  if (!(loss < kDiverged)) {
    verdict = Verdict::diverged;
  } else if (!measured_ || loss < best_loss_) {
    verdict = Verdict::best;
    measured_ = true;
    best_loss_ = loss;
  }
  if (plan_ == Plan::measure) {
    plan_ = Plan::end;
  } else if (verdict == Verdict::diverged) {
    steps_ = 1;
    choose({}, now);
  } else {
    choose(estimates, now);
  }
  return verdict;
}

// The next round and the last measurement must fit into what is left.
void AdaptiveTau::choose(const TauEstimates& estimates, Seconds now) {
  if (estimates.rho > 0 && estimates.beta > 0) {
    steps_ = best_tau(estimates, settings_.lr, settings_.phi, settings_.budget_s,
                      std::min(kLeap * steps_, settings_.most));
  }
  const double c = step_sum_ / static_cast<double>(rounds_);
  const double b = exchange_sum_ / static_cast<double>(rounds_);
  const double left = settings_.budget_s - now - (c + b) - b;
  if (left < c * static_cast<double>(steps_))
    steps_ = c > 0 ? static_cast<std::int64_t>(std::floor(left / c)) : 0;
  if (steps_ < 1 || left <= 0) plan_ = Plan::measure;
}

void AdaptiveTau::save(CheckpointWriter& writer) const {
  writer.add_pod("tau", Saved{steps_, rounds_, best_loss_, step_sum_, exchange_sum_,
                              static_cast<std::int32_t>(plan_), measured_ ? 1 : 0});
}

void AdaptiveTau::restore(const CheckpointReader& reader) {
  const auto saved = reader.pod<Saved>("tau");
  steps_ = saved.steps;
  rounds_ = saved.rounds;
  best_loss_ = saved.best_loss;
  step_sum_ = saved.step_sum;
  exchange_sum_ = saved.exchange_sum;
  plan_ = static_cast<Plan>(saved.plan);
  measured_ = saved.measured != 0;
}

}  // namespace gossamer

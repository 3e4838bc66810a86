#pragma once

#include <cstdint>
#include <vector>

#include "core/checkpoint.h"
#include "core/tau_report.h"
#include "core/types.h"

namespace gossamer {

// The control loop of Wang, Tuor, Salonidis, Leung, Makaya, He, Chan: "Adaptive federated learning in
// resource constrained edge computing systems", JSAC 2019: how many local steps (tau) a round has, so that a
// budget of time buys the smallest loss. Pure: no I/O, no clock.

// The gap that opens between federated and centralised descent in tau steps of rate lr (the paper's h).
double tau_gap(double tau, double lr, double beta, double delta);

struct TauEstimates {
  double rho = 0, beta = 0, delta = 0;
  double step_s = 0;      // c: of a local step
  double exchange_s = 0;  // b: of what a round takes besides
};

// The tau in 1 .. most that minimises the paper's bound on the loss, (1 + sqrt(1 + 4 T^2 phi rho lr h / tau))
// / (2 T lr phi) + rho h, with T = (budget - c - b) tau / (c tau + b) steps in all.
std::int64_t best_tau(const TauEstimates& estimates, double lr, double phi, Seconds budget,
                      std::int64_t most);

// The loop over the rounds of one run. Before each round ask next(); after it, say what was reported.
class AdaptiveTau {
 public:
  struct Settings {
    double lr = 0.1;
    double phi = 0.025;
    Seconds budget_s = 15;
    std::int64_t most = 100;
  };
  struct Reported {
    double weight;
    TauReport report;
  };
  // What the next round is for: to train, or, last of all, only to measure the model that training ended
  // with.
  enum class Plan { train, measure, end };
  // The model that was sent in a round: better than all before; or so bad that the best one is gone back to.
  enum class Verdict { best, worse, diverged };

  explicit AdaptiveTau(Settings settings) : settings_(settings) {}

  Plan plan() const noexcept { return plan_; }
  std::int64_t steps() const noexcept { return plan_ == Plan::train ? steps_ : 1; }
  // A round is over at `now`; it began at `since`.
  Verdict observe(const std::vector<Reported>& reports, Seconds since, Seconds now);

  void save(CheckpointWriter& writer) const;
  void restore(const CheckpointReader& reader);

 private:
  void choose(const TauEstimates& estimates, Seconds now);

  Settings settings_;
  Plan plan_ = Plan::train;
  std::int64_t steps_ = 1;
  double best_loss_ = 0;
  bool measured_ = false;  // best_loss_ is one
  double step_sum_ = 0;    // over the rounds
  double exchange_sum_ = 0;
  std::int64_t rounds_ = 0;
};

}  // namespace gossamer

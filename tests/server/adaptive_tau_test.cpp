// The control loop of adaptive tau: the paper's formulas, and the loop over a run.
#include "server/adaptive_tau.h"

#include <gtest/gtest.h>

#include <cmath>

namespace gossamer {
namespace {

TEST(AdaptiveTau, TheGapIsThePapers) {
  EXPECT_EQ(tau_gap(0, 0.01, 2, 0.5), 0);
  EXPECT_NEAR(tau_gap(1, 0.01, 2, 0.5), 0, 1e-17);
  EXPECT_NEAR(tau_gap(10, 0.01, 2, 0.5), 0.0047486, 5e-8);
  EXPECT_NEAR(tau_gap(100, 0.01, 2, 0.5), 1.0611615, 5e-8);
  EXPECT_EQ(tau_gap(50, 0.01, 2, 0), 0);
}

TEST(AdaptiveTau, ClientsThatAgreeTrainAsLongAsTheyMay) {
  const TauEstimates alike{1, 2, 0, 0.013, 0.13};
  EXPECT_EQ(best_tau(alike, 0.01, 0.025, 15, 100), 100);
  EXPECT_EQ(best_tau(alike, 0.01, 0.025, 15, 7), 7);
}

TEST(AdaptiveTau, TheMoreTheyDifferTheMoreOftenTheyExchange) {
  std::int64_t last = 100;
  for (const double delta : {0.01, 0.1, 1.0, 10.0, 100.0, 1e4}) {
    const std::int64_t tau = best_tau({1, 2, delta, 0.013, 0.13}, 0.01, 0.025, 15, 100);
    EXPECT_LE(tau, last) << delta;
    last = tau;
  }
  EXPECT_EQ(last, 1);
}

TEST(AdaptiveTau, TheBestTauIsTheLeastOfTheBound) {
  const TauEstimates e{0.8, 3, 0.4, 0.02, 0.1};
  const double lr = 0.05, phi = 0.01, budget = 20;
  const auto bound = [&](double tau) {
    const double steps = (budget - e.step_s - e.exchange_s) * tau / (e.step_s * tau + e.exchange_s);
    const double h = e.delta / e.beta * (std::pow(lr * e.beta + 1, tau) - 1) - lr * e.delta * tau;
    return (1 + std::sqrt(1 + 4 * steps * steps * phi * e.rho * lr * h / tau)) / (2 * steps * lr * phi) +
           e.rho * h;
  };
  const std::int64_t best = best_tau(e, lr, phi, budget, 100);
  EXPECT_GT(best, 1);
  EXPECT_LT(best, 100);
  for (int tau = 1; tau <= 100; ++tau) EXPECT_GE(bound(tau), bound(static_cast<double>(best)) - 1e-12) << tau;
}

TauReport report(double loss, double rho, double beta, double gradient) {
  TauReport report;
  report.loss = loss;
  report.rho = rho;
  report.beta = beta;
  report.step_s = 0.01;
  report.gradient[5] = gradient;
  return report;
}

TEST(AdaptiveTau, SpendsTheBudgetAndMeasuresLast) {
  AdaptiveTau control({0.01, 0.025, 5, 100});
  EXPECT_EQ(control.plan(), AdaptiveTau::Plan::train);
  EXPECT_EQ(control.steps(), 1) << "nothing is known yet";
  Seconds now = 0;
  std::int64_t most = 0, before = 1;
  int rounds = 0;
  while (control.plan() == AdaptiveTau::Plan::train) {
    ASSERT_LT(++rounds, 1000);
    EXPECT_LE(control.steps(), 10 * before);
    before = control.steps();
    most = std::max(most, before);
    const Seconds since = now;
    now += 0.01 * static_cast<double>(before) + 0.1;
    const double estimate = rounds == 1 ? 0 : 1;
    control.observe({{3, report(1.0 / rounds, estimate, estimate, 0.1)},
                     {1, report(1.0 / rounds, estimate, estimate, -0.1)}},
                    since, now);
  }
  EXPECT_GT(most, 1);
  EXPECT_EQ(control.plan(), AdaptiveTau::Plan::measure);
  EXPECT_EQ(control.steps(), 1);
  EXPECT_LE(now + 0.11, 5) << "room for the last measurement";
  EXPECT_GT(now + 0.11, 5 - 0.23) << "and not for another round";
  EXPECT_EQ(control.observe({{1, report(0.5, 1, 1, 0)}}, now, now + 0.11), AdaptiveTau::Verdict::worse);
  EXPECT_EQ(control.plan(), AdaptiveTau::Plan::end);
}

TEST(AdaptiveTau, GoesBackWhereTrainingDiverges) {
  AdaptiveTau control({0.01, 0.025, 100, 100});
  EXPECT_EQ(control.observe({{1, report(2, 0, 0, 1)}}, 0, 1), AdaptiveTau::Verdict::best);
  EXPECT_EQ(control.observe({{1, report(1, 1, 1, 1)}}, 1, 2), AdaptiveTau::Verdict::best);
  EXPECT_GT(control.steps(), 1);
  EXPECT_EQ(control.observe({{1, report(3, 1, 1, 1)}}, 2, 3), AdaptiveTau::Verdict::worse);
  EXPECT_EQ(control.observe({{1, report(1.7e308, 1, 1, 1)}}, 3, 4), AdaptiveTau::Verdict::diverged);
  EXPECT_EQ(control.steps(), 1);
  EXPECT_EQ(control.plan(), AdaptiveTau::Plan::train);
}

TEST(AdaptiveTau, ACheckpointHoldsTheLoop) {
  AdaptiveTau control({0.01, 0.025, 50, 100});
  control.observe({{1, report(2, 0, 0, 1)}}, 0, 1);
  control.observe({{2, report(1, 1, 1, 0.1)}, {1, report(1, 1, 1, 0.2)}}, 1, 2);
  CheckpointWriter writer;
  control.save(writer);
  const ByteBuffer bytes = writer.encode();
  AdaptiveTau resumed({0.01, 0.025, 50, 100});
  resumed.restore(CheckpointReader(bytes, "memory"));
  for (Seconds now = 2; now < 8; now += 1) {
    EXPECT_EQ(resumed.steps(), control.steps());
    const std::vector<AdaptiveTau::Reported> reports{{1, report(1 / now, 1, 1, 0.3)},
                                                     {1, report(1 / now, 1, 1, 0.1)}};
    EXPECT_EQ(resumed.observe(reports, now, now + 1), control.observe(reports, now, now + 1));
  }
}

// Linear, and as long as the vector within what 128 buckets allow.
TEST(TauReport, ASketchKeepsDifferences) {
  std::vector<float> a(10'000), b(10'000), difference(10'000);
  double exact = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    a[i] = std::sin(static_cast<float>(i));
    b[i] = std::cos(static_cast<float>(3 * i));
    difference[i] = a[i] - b[i];
    exact += static_cast<double>(difference[i]) * difference[i];
  }
  std::array<double, TauReport::kBuckets> sa{}, sb{}, sd{};
  add_to_sketch(a, 0, sa);
  add_to_sketch(std::span(b).first(4'000), 0, sb);
  add_to_sketch(std::span(b).subspan(4'000), 4'000, sb);
  add_to_sketch(difference, 0, sd);
  double sketched = 0;
  for (std::size_t i = 0; i < sd.size(); ++i) {
    EXPECT_NEAR(sa[i] - sb[i], sd[i], 1e-4);
    sketched += sd[i] * sd[i];
  }
  EXPECT_NEAR(std::sqrt(sketched), std::sqrt(exact), 0.2 * std::sqrt(exact));
}

}  // namespace
}  // namespace gossamer

// Runs with noise: what they train, what they say, what they spend, and where they end.
#include <gmock/gmock.h>

#include <cmath>

#include "client/participant.h"
#include "comms/codec.h"
#include "core/error.h"
#include "privacy/accountants/accountant.h"
#include "tests/simulation/simulated_peers.h"

namespace gossamer {
namespace {

using ::testing::HasSubstr;

const Keys kPrivate{{"privacy.mechanism", "gaussian"},
                    {"privacy.clip_norm", "0.5"},
                    {"privacy.noise_multiplier", "1.5"},
                    {"privacy.insecure_seed", "7"},
                    {"run.rounds", "3"}};
const Keys kCentral = kPrivate + Keys{{"privacy.placement", "central"}};
const Keys kClient = kPrivate + Keys{{"privacy.placement", "client"}};

double epsilon_of(double noise, double rate, std::uint64_t steps) {
  Options options(full_schema());
  const auto accountant = accountants().make(options);
  accountant->add({NoiseKind::gaussian, noise, rate, steps});
  return accountant->epsilon(1e-5);
}

bool has_server(const Keys& keys) {
  const auto found = keys.find("topology.name");
  return found == keys.end() || found->second == "parameter_server" || found->second == "tree";
}

Outcome run(const Keys& keys, int threads = 2) {
  const TemporaryFolder folder;
  return has_server(keys) ? simulate_in(folder, keys, threads, Lengths::unknown)
                          : simulate_peers_in(folder, keys, threads);
}

// DP-FedAvg with z = 0, S infinite and q = 1 is FedAvg over a fixed denominator.
TEST(CentralPrivacy, WithoutNoiseAndBoundIsTheMean) {
  const Keys plain{{"run.rounds", "3"}, {"server.weighting", "uniform"}};
  const Outcome mean = run(plain);
  const Outcome central = run(plain + Keys{{"privacy.mechanism", "gaussian"},
                                           {"privacy.placement", "central"},
                                           {"privacy.clip_norm", "inf"},
                                           {"privacy.noise_multiplier", "0"}});
  ASSERT_EQ(central.model.size(), mean.model.size());
  for (std::size_t i = 0; i < mean.model.size(); ++i) EXPECT_NEAR(central.model[i], mean.model[i], 1e-6);
  EXPECT_EQ(central.rounds.back().epsilon, std::nullopt);  // infinite
}

TEST(CentralPrivacy, SaysWhatItSpentAndNothingOfLosses) {
  const Outcome outcome = run(kCentral);
  for (const RoundMetrics& round : outcome.rounds) {
    EXPECT_NEAR(round.epsilon.value(), epsilon_of(1.5, 1, static_cast<std::uint64_t>(round.round)), 1e-9);
    EXPECT_TRUE(std::isnan(round.train_loss));
    EXPECT_EQ(round.samples, 0);
    EXPECT_EQ(round.reclipped, 0);
  }
}

TEST(CentralPrivacy, APoissonCohortCostsLess) {
  const Keys sampled{{"cohort.sampler", "poisson"}, {"cohort.fraction", "0.25"}, {"data.clients", "8"}};
  const Outcome outcome = run(kCentral + sampled);
  EXPECT_NEAR(outcome.rounds.back().epsilon.value(), epsilon_of(1.5, 0.25, 3), 1e-9);
  // A cohort of a fixed size costs each of its clients the whole.
  const Outcome fixed = run(kCentral + Keys{{"cohort.fraction", "0.25"}, {"data.clients", "8"}});
  EXPECT_GE(fixed.rounds.back().epsilon.value(), epsilon_of(1.5, 1, 1));
}

// Four clients, and each with its share of noise: the mean of updates without any direction of their own.
TEST(CentralPrivacy, TheNoiseIsOfOneSumWhoeverTookPart) {
  const Keys far{{"client.lr", "1e-9"}, {"run.rounds", "1"}, {"privacy.clip_norm", "2"}};
  const Outcome still = run({{"client.lr", "1e-9"}, {"run.rounds", "1"}});
  for (const auto& [clients, denominator] : {std::pair{"4", 4.0}, std::pair{"16", 16.0}}) {
    const Outcome noisy = run(kCentral + far + Keys{{"data.clients", clients}});
    double squares = 0;
    for (std::size_t i = 0; i < noisy.model.size(); ++i)
      squares += std::pow(static_cast<double>(noisy.model[i]) - static_cast<double>(still.model[i]), 2);
    const double deviation = std::sqrt(squares / static_cast<double>(noisy.model.size()));
    EXPECT_NEAR(deviation, 1.5 * 2 / denominator, 0.05 * 1.5 * 2 / denominator) << clients;
  }
}

const Keys kAdaptive = kCentral + Keys{{"privacy.clipping", "adaptive"}, {"privacy.adaptive.bit_noise", "1"}};

TEST(AdaptiveClipping, FollowsTheQuantileOfTheUpdates) {
  const Keys quiet = kAdaptive + Keys{{"privacy.noise_multiplier", "0"}, {"privacy.clip_norm", "1e-3"}};
  const Outcome outcome = run(quiet + Keys{{"run.rounds", "60"}, {"privacy.adaptive.lr", "1"}});
  EXPECT_EQ(outcome.rounds[0].clip_norm, 1e-3);
  // All four are longer than the first norm: the next one is larger by exp(lr / 2).
  EXPECT_NEAR(outcome.rounds[1].clip_norm.value(), 1e-3 * std::exp(0.5), 1e-12);
  // From then on by exp(1/2 - share), of none to all four within; about the median it rises and falls.
  int rises = 0, falls = 0;
  for (std::size_t i = 1; i < 60; ++i) {
    const double step =
        std::log(outcome.rounds[i].clip_norm.value() / outcome.rounds[i - 1].clip_norm.value());
    EXPECT_NEAR(4 * step, std::round(4 * step), 1e-6);
    EXPECT_LE(std::abs(step), 0.5 + 1e-6);
    if (i < 30) continue;
    rises += step > 0.1 ? 1 : 0;
    falls += step < -0.1 ? 1 : 0;
  }
  EXPECT_GT(rises, 3);
  EXPECT_GT(falls, 3);
}

TEST(AdaptiveClipping, CostsWhatTheSameNoiseCostsWithAFixedNorm) {
  const Outcome outcome = run(kAdaptive);
  for (const RoundMetrics& round : outcome.rounds) {
    EXPECT_NEAR(round.epsilon.value(), epsilon_of(1.5, 1, static_cast<std::uint64_t>(round.round)), 1e-9);
    EXPECT_EQ(round.reclipped, 0);
    EXPECT_GT(round.clip_norm.value(), 0);
  }
  EXPECT_EQ(run(kCentral).rounds.back().clip_norm, std::nullopt);
}

TEST(AdaptiveClipping, GoesOnFromACheckpoint) {
  const Keys keys = kAdaptive + Keys{{"run.rounds", "6"}, {"server.checkpoint_every", "2"}};
  const Outcome whole = run(keys);
  const TemporaryFolder folder;
  simulate_in(folder, keys, 2, Lengths::known, 3);
  const Outcome resumed =
      simulate_in(folder, keys + Keys{{"run.resume", "true"}, {"run.overwrite", "false"}}, 2, Lengths::known);
  EXPECT_EQ(resumed.model, whole.model);
  for (std::size_t i = 0; i < 6; ++i) EXPECT_EQ(resumed.rounds[i].clip_norm, whole.rounds[i].clip_norm);
}

TEST(AdaptiveClipping, IsOfTheServersSum) {
  EXPECT_THAT(refusal_of(kClient + Keys{{"privacy.clipping", "adaptive"}}),
              HasSubstr("privacy.placement = central"));
  EXPECT_THAT(refusal_of(kAdaptive + Keys{{"privacy.adaptive.bit_noise", "0"}}),
              HasSubstr("privacy.adaptive.bit_noise = 0.2"));
  EXPECT_THAT(refusal_of(kAdaptive + Keys{{"privacy.clip_norm", "inf"}, {"privacy.noise_multiplier", "0"}}),
              HasSubstr("finite"));
  EXPECT_THAT(refusal_of(kCentral + Keys{{"privacy.adaptive.lr", "0.3"}}), HasSubstr("privacy.adaptive.lr"));
}

TEST(ClientPrivacy, CountsParticipationsWithTwiceTheSensitivity) {
  const Outcome outcome = run(kClient);
  // The accountant's noise multiplier is that of the sensitivity, which is twice the clip norm.
  EXPECT_NEAR(outcome.rounds.back().epsilon.value(), epsilon_of(1.5, 1, 3), 1e-9);
  EXPECT_EQ(outcome.rounds.back().reclipped, std::nullopt);
}

// Whatever a server asks for: a client counts for itself.
TEST(ClientPrivacy, NobodyAnswersBeyondTheBudget) {
  const TemporaryFolder folder;
  const std::string target = std::to_string(epsilon_of(1.5, 1, 3) + 0.01);
  Options options = configured(kClient + Keys{{"privacy.target_epsilon", target}}, folder);
  const auto data = make_dataset(options);
  resolve(options);
  Participant participant(options, *data);
  const FloatBuffer zeros(participant.model().layout()->size(), 0.0F);
  const auto ask = [&](ClientId client, Round round) {
    return participant.answer(
        {encode_model(1, round, client, 0, as_they_are(SharedFloats::of(FloatBuffer(zeros)))), {}});
  };
  for (Round round = 1; round <= 3; ++round) EXPECT_TRUE(ask(0, round));
  EXPECT_TRUE(ask(0, 3)) << "the same bytes again";
  const auto refused = ask(0, 4);
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.fault().reason, HasSubstr("privacy.target_epsilon"));
  EXPECT_TRUE(ask(1, 4)) << "who has a budget of its own";
}

TEST(Privacy, IsTheSameWithAnyNumberOfThreads) {
  expect_same(run(kClient, 1), run(kClient, 2), "client");
  expect_same(run(kCentral, 1), run(kCentral, 2), "central");
}

TEST(Privacy, IsNotTheSameTwiceWithoutASeed) {
  Keys secret = kCentral;
  secret.erase("privacy.insecure_seed");
  EXPECT_NE(run(secret).model, run(secret).model);
}

TEST(Privacy, EndsBeforeTheBudgetIsPassed) {
  const double three = epsilon_of(1.5, 1, 3);
  for (const Keys& placement : {kClient, kCentral}) {
    const Outcome outcome =
        run(placement + Keys{{"run.rounds", "8"}, {"privacy.target_epsilon", std::to_string(three + 0.01)}});
    EXPECT_EQ(outcome.stopped_by, "target_epsilon");
    EXPECT_EQ(outcome.rounds.size(), 3U);
    EXPECT_NEAR(outcome.rounds.back().epsilon.value(), three, 1e-9);
  }
  const Outcome sampled =
      run(kCentral + Keys{{"run.rounds", "8"},
                          {"cohort.sampler", "poisson"},
                          {"cohort.fraction", "0.5"},
                          {"privacy.target_epsilon", std::to_string(epsilon_of(1.5, 0.5, 5) + 0.001)}});
  EXPECT_EQ(sampled.stopped_by, "target_epsilon");
  EXPECT_EQ(sampled.rounds.size(), 5U);
}

TEST(Privacy, ChoosesTheNoiseForABudget) {
  Keys keys = kCentral + Keys{{"privacy.target_epsilon", "3"}, {"run.rounds", "5"}};
  keys.erase("privacy.noise_multiplier");
  const Outcome outcome = run(keys);
  EXPECT_EQ(outcome.stopped_by, "rounds");
  EXPECT_LE(outcome.rounds.back().epsilon.value(), 3);
  EXPECT_GE(outcome.rounds.back().epsilon.value(), 2.99);
}

// What was released after the last checkpoint is released again, and counts twice.
TEST(Privacy, AResumedRunHasSpentWhatItSpentBefore) {
  for (const Keys& placement : {kClient, kCentral, kCentral + Keys{{"cohort.sampler", "poisson"}}}) {
    const TemporaryFolder folder;
    const Keys keys = placement + Keys{{"run.rounds", "6"}, {"server.checkpoint_every", "2"}};
    simulate_in(folder, keys, 2, Lengths::unknown, 3);
    const Outcome resumed = simulate_in(
        folder, keys + Keys{{"run.resume", "true"}, {"run.overwrite", "false"}}, 2, Lengths::unknown);
    EXPECT_EQ(resumed.rounds.size(), 6U);
    // Round 3 was done and round 4 begun when the first one ended, at checkpoint 2.
    EXPECT_NEAR(resumed.rounds.back().epsilon.value(), epsilon_of(1.5, 1, 8), 1e-9);
  }
}

TEST(Privacy, WithoutItsLedgerARunIsNotResumed) {
  const TemporaryFolder folder;
  const Keys keys = kCentral + Keys{{"server.checkpoint_every", "1"}};
  simulate_in(folder, keys, 2, Lengths::unknown, 2);
  std::filesystem::remove(folder.path() / "run" / "privacy_ledger.jsonl");
  EXPECT_THROW(simulate_in(folder, keys + Keys{{"run.resume", "true"}, {"run.overwrite", "false"}}, 2,
                           Lengths::unknown),
               FileError);
}

// Every placement with every compressor trains, or is refused in one line.
TEST(Privacy, WithEveryCompressor) {
  int trained = 0, refused = 0;
  for (const char* placement : {"example", "client", "central"}) {
    for (const char* topology : {"parameter_server", "ring", "gossip", "tree"}) {
      const bool models = std::string(topology) == "gossip";
      for (const std::string& method : models ? down_compressors().names() : up_compressors().names()) {
        const Keys keys = kPrivate + Keys{{"privacy.placement", placement},
                                          {"topology.name", topology},
                                          {"privacy.sampling_rate", placement[0] == 'e' ? "0.5" : "0"},
                                          {models ? "compression.down" : "compression.up", method},
                                          {"run.rounds", "1"}};
        const std::string refusal = refusal_of(keys);
        EXPECT_THAT(refusal, ::testing::Not(HasSubstr("\n")));
        ++(refusal.empty() ? trained : refused);
        if (!refusal.empty()) continue;
        const Outcome outcome = run(keys);
        EXPECT_GT(outcome.rounds.back().epsilon.value(), 0) << placement << ' ' << topology << ' ' << method;
      }
    }
  }
  EXPECT_GT(trained, 60);
  EXPECT_GT(refused, 20);
}

// A compressor that makes vectors longer is cut back by the server, and each update that was is counted.
TEST(CentralPrivacy, TheServerBoundsWhatCompressionMadeLonger) {
  const Outcome outcome =
      run(kCentral + Keys{{"compression.up", "random_k"}, {"compression.error_feedback", "off"}});
  EXPECT_EQ(outcome.rounds.back().reclipped, 4);
}

TEST(Privacy, RefusesWhatWouldVoidIt) {
  EXPECT_THAT(refusal_of(kCentral + Keys{{"topology.name", "ring"}}),
              HasSubstr("privacy.placement = client"));
  EXPECT_THAT(refusal_of(kCentral + Keys{{"sync.mode", "async"}}), HasSubstr("sync.mode = bsp"));
  EXPECT_THAT(refusal_of(kCentral + Keys{{"server.shards", "2"}}), HasSubstr("server.shards = 1"));
  EXPECT_THAT(refusal_of(kCentral + Keys{{"compression.up", "auto"}}), HasSubstr("compression.up = auto"));
  EXPECT_THAT(refusal_of(kCentral + Keys{{"cohort.min_size", "2"}}), HasSubstr("cohort.min_size = 2"));
  EXPECT_THAT(refusal_of(kClient + Keys{{"topology.name", "gossip"}, {"sync.mode", "async"}}),
              HasSubstr("sync.mode = bsp"));
  EXPECT_THAT(refusal_of(kClient + Keys{{"topology.name", "ring"}, {"algorithm.name", "sync_sgd"}}),
              HasSubstr("local_sgd"));
  EXPECT_THAT(refusal_of(kClient + Keys{{"algorithm.name", "adaptive_tau"}}), HasSubstr("adaptive"));
  EXPECT_THAT(refusal_of(kCentral + Keys{{"cohort.sampler", "poisson"},
                                         {"sync.backup_workers", "1"},
                                         {"cohort.fraction", "0.5"}}),
              HasSubstr("cohort.sampler = uniform"));
}

}  // namespace
}  // namespace gossamer

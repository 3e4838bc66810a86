// Peers without a server, in virtual time; and the arithmetic by which their models change.
#include <gmock/gmock.h>

#include <cmath>

#include "client/peer_model.h"
#include "core/error.h"
#include "tests/simulation/simulated_peers.h"

namespace gossamer {
namespace {

using ::testing::HasSubstr;

const Keys kSmall{{"data.clients", "6"}, {"run.rounds", "4"}, {"model.name", "logistic"}};

PeerOutcome simulate_peers(const Keys& given, int threads = 2) {
  const TemporaryFolder folder;
  return simulate_peers_in(folder, kSmall + given, threads);
}

double largest_difference(std::span<const float> a, std::span<const float> b) {
  double largest = 0;
  for (std::size_t i = 0; i < a.size(); ++i)
    largest = std::max(largest, std::abs(static_cast<double>(a[i]) - static_cast<double>(b[i])));
  return largest;
}

TEST(PeerSimulation, SumsGiveTheServersModelToEverybody) {
  // Federated averaging with a server, up to the order of the sums.
  const Outcome server = simulate(kSmall + Keys{{"data.partition", "quantity_skew"}}, 2);
  for (const char* topology : {"ring", "all_to_all"}) {
    const PeerOutcome peers =
        simulate_peers({{"topology.name", topology}, {"data.partition", "quantity_skew"}});
    EXPECT_LT(largest_difference(peers.model, server.model), 1e-5) << topology;
    for (const FloatBuffer& model : peers.models) EXPECT_EQ(model, peers.model) << topology;
    ASSERT_EQ(peers.rounds.size(), 4U);
    EXPECT_EQ(peers.rounds[3].clients, 6);
    EXPECT_EQ(peers.rounds[3].samples, server.rounds[3].samples);
    EXPECT_NEAR(peers.rounds[3].train_loss, server.rounds[3].train_loss, 1e-5);
  }
}

TEST(PeerSimulation, DoesNotDependOnThreads) {
  for (const Keys& keys : {Keys{{"topology.name", "ring"}}, Keys{{"topology.name", "gossip"}},
                           Keys{{"topology.name", "gossip"}, {"topology.gossip.overlap", "true"}},
                           Keys{{"topology.name", "gossip"}, {"sync.mode", "async"}},
                           Keys{{"topology.name", "gossip"},
                                {"sync.mode", "async"},
                                {"topology.gossip.method", "go_sgd"},
                                {"devices.distribution", "exponential"}}}) {
    const PeerOutcome one = simulate_peers(keys, 1), three = simulate_peers(keys, 3);
    expect_same(one, three, keys.rbegin()->second);
    EXPECT_EQ(one.models, three.models);
    EXPECT_EQ(one.stopped_by, "rounds");
    EXPECT_EQ(one.rounds.size(), 4U);
  }
}

// On a complete graph with uniform weights D-PSGD takes the mean of all models: local SGD.
TEST(PeerSimulation, DPsgdOnACompleteGraphIsLocalSgd) {
  const Outcome server = simulate(kSmall + Keys{{"algorithm.name", "local_sgd"}}, 2);
  const PeerOutcome peers = simulate_peers(
      {{"algorithm.name", "local_sgd"}, {"topology.name", "gossip"}, {"topology.graph", "complete"}});
  EXPECT_LT(largest_difference(peers.model, server.model), 1e-5);
  EXPECT_LT(*peers.rounds[3].consensus_distance, 1e-4);
  // Exchanging before the step leaves each peer with its own last update.
  const PeerOutcome overlapped = simulate_peers({{"algorithm.name", "local_sgd"},
                                                 {"topology.name", "gossip"},
                                                 {"topology.graph", "complete"},
                                                 {"topology.gossip.overlap", "true"}});
  EXPECT_GT(*overlapped.rounds[3].consensus_distance, 1e-2);
}

TEST(PeerSimulation, TheModelOfGossipIsTheMeanAndItsDistanceIsKnown) {
  const PeerOutcome outcome = simulate_peers({{"topology.name", "gossip"}});
  double squares = 0;
  for (std::size_t i = 0; i < outcome.model.size(); ++i) {
    double mean = 0;
    for (const FloatBuffer& model : outcome.models) mean += model[i] / 6.0;
    ASSERT_NEAR(outcome.model[i], mean, 1e-6);
    for (const FloatBuffer& model : outcome.models) squares += (model[i] - mean) * (model[i] - mean);
  }
  EXPECT_GT(squares, 0);
  EXPECT_NEAR(*outcome.rounds[3].consensus_distance, std::sqrt(squares / 6), 1e-5);
}

// With one step a round the mean of the gradients is the mean of the updates.
TEST(PeerSimulation, SyncSgdOfOneStepIsFederatedAveraging) {
  const Keys keys{{"client.local_steps", "1"},
                  {"client.lr", "0.05"},
                  {"data.partition", "quantity_skew"},
                  {"topology.name", "ring"}};
  const PeerOutcome averaged = simulate_peers(keys);
  const PeerOutcome stepped =
      simulate_peers(keys + Keys{{"algorithm.name", "sync_sgd"}, {"client.batch_size", "0"}});
  const PeerOutcome by_examples = simulate_peers(keys + Keys{{"client.batch_size", "0"}});
  EXPECT_LT(largest_difference(stepped.model, by_examples.model), 1e-6);
  EXPECT_GT(largest_difference(averaged.model, by_examples.model), 1e-4);
  for (const FloatBuffer& model : stepped.models) EXPECT_EQ(model, stepped.model);
}

TEST(PeerSimulation, SyncSgdSumsInEveryStep) {
  const Keys ring{{"topology.name", "ring"}};
  const Keys keys = ring + Keys{{"algorithm.name", "sync_sgd"}, {"client.local_steps", "3"}};
  // Weights and biases in every step, and how large the round's three batches are, with a mark of the
  // weights: these and the biases are short enough for an exchange.
  EXPECT_EQ(simulate_peers(keys).rounds[1].bytes_up,
            3 * (2 * 5 * 7840 * 4U + 6 * 5 * 10 * 4U) + 6 * 5 * (3 + 1) * 4U);
  // The virtual time of its sums is three times that of one a round.
  const Keys slow{{"network.up_mbps", "8"}, {"network.latency_ms", "10"}, {"devices.speed", "1e12"}};
  EXPECT_NEAR(simulate_peers(keys + slow).rounds[0].time_s, 3 * simulate_peers(ring + slow).rounds[0].time_s,
              0.01);
}

TEST(PeerSimulation, CountsWhatPeersSend) {
  const std::uint64_t floats = 7850;  // of logistic regression on 28 x 28
  const auto bytes = [](const Keys& keys) {
    const PeerOutcome outcome = simulate_peers(keys);
    EXPECT_EQ(outcome.rounds[2].bytes_up, outcome.rounds[2].bytes_down);
    return outcome.rounds[2].bytes_up;
  };
  // Every rank passes 2 (p - 1) / p of the vector on: together 2 (p - 1) vectors.
  EXPECT_EQ(bytes({{"topology.name", "ring"}}), 2 * 5 * (floats + 1) * 4);
  EXPECT_EQ(bytes({{"topology.name", "all_to_all"}}), 6 * 5 * (floats + 1) * 4);
  EXPECT_EQ(bytes({{"topology.name", "gossip"}}), 6 * 2 * (kFrameHeaderBytes + floats * 4));
  EXPECT_EQ(bytes({{"topology.name", "gossip"}, {"topology.graph", "complete"}}),
            6 * 5 * (kFrameHeaderBytes + floats * 4));
}

// Links of 8 Mbit/s up and more down, 10 ms, no time for training.
TEST(PeerSimulation, VirtualTimeFollowsTheRoutes) {
  const Keys links{{"network.up_mbps", "8"},
                   {"network.down_mbps", "16"},
                   {"network.latency_ms", "10"},
                   {"devices.speed", "1e12"}};
  const auto seconds = [&](const Keys& keys) { return simulate_peers(links + keys).rounds[0].time_s; };
  const double vector = 7851 * 4 / 1e6, frame = (7850 * 4 + 96) / 1e6;
  // 2 (p - 1) stages of a chunk; chunks are rounded up to 16 elements.
  EXPECT_NEAR(seconds({{"topology.name", "ring"}}), 10 * (0.01 + vector / 6), 10 * 0.01 * vector / 6);
  // p - 1 vectors one after the other.
  EXPECT_NEAR(seconds({{"topology.name", "all_to_all"}}), 0.01 + 5 * vector, 1e-6);
  EXPECT_NEAR(seconds({{"topology.name", "gossip"}}), 0.01 + 2 * frame, 1e-6);
  // A slow peer is waited for by all in a sum, whose end is the same for everybody.
  EXPECT_GT(seconds({{"topology.name", "ring"}, {"devices.speed", "100"}}), 0.6);
}

TEST(PeerSimulation, AResumedRunEndsWithTheSameModel) {
  for (const char* topology : {"ring", "gossip"}) {
    const Keys keys =
        kSmall + Keys{{"topology.name", topology}, {"run.rounds", "9"}, {"server.checkpoint_every", "1"}};
    const TemporaryFolder folder;
    const PeerOutcome straight = simulate_peers_in(folder, keys);
    const PeerOutcome stopped = simulate_peers_in(folder, keys, 2, 3);
    EXPECT_EQ(stopped.stopped_by, "signal");
    EXPECT_LT(stopped.rounds.back().round, 7);
    const PeerOutcome resumed =
        simulate_peers_in(folder, keys + Keys{{"run.overwrite", "false"}, {"run.resume", "true"}});
    EXPECT_EQ(resumed.model, straight.model) << topology;
    EXPECT_EQ(resumed.models, straight.models) << topology;
    EXPECT_EQ(resumed.rounds.size(), 9U);
  }
}

TEST(PeerSimulation, ASignalEndsARunWithAModelOfItsLastRound) {
  const TemporaryFolder folder;
  const PeerOutcome stopped = simulate_peers_in(folder,
                                                kSmall + Keys{{"topology.name", "gossip"},
                                                              {"run.rounds", "100"},
                                                              {"run.eval_every", "100"},
                                                              {"server.checkpoint_every", "0"}},
                                                2, 3);
  EXPECT_EQ(stopped.stopped_by, "signal");
  EXPECT_EQ(stopped.rounds.back().round, 5);  // two rounds were granted
  EXPECT_TRUE(stopped.rounds.back().consensus_distance);
  EXPECT_EQ(stopped.rounds.back().test_accuracy, std::nullopt);
}

TEST(PeerSimulation, ATargetEndsARunWithTheModelThatReachedIt) {
  const Keys keys{{"topology.name", "gossip"}, {"run.rounds", "50"}, {"run.target_accuracy", "0.3"}};
  const PeerOutcome outcome = simulate_peers(keys);
  EXPECT_EQ(outcome.stopped_by, "target_accuracy");
  EXPECT_GE(*outcome.rounds.back().test_accuracy, 0.3);
  EXPECT_LT(outcome.rounds.size(), 50U);
}

// GoSGD: the weights of the peers and of what is on its way sum to 1 at every event.
TEST(PeerSimulation, GoSgdKeepsItsWeights) {
  const TemporaryFolder folder;
  int events = 0, most_in_flight = 0;
  double smallest = 1;
  simulate_peers_in(folder,
                    kSmall + Keys{{"topology.name", "gossip"},
                                  {"topology.graph", "complete"},
                                  {"topology.gossip.method", "go_sgd"},
                                  {"topology.gossip.probability", "0.8"},
                                  {"sync.mode", "async"},
                                  {"devices.distribution", "exponential"},
                                  {"run.rounds", "20"},
                                  {"run.eval_every", "20"}},
                    2, INT64_MAX, [&](PeerSimulation& simulation) {
                      double sum = 0;
                      for (ClientId client = 0; client < 6; ++client) {
                        sum += simulation.model_of(client).weight();
                        smallest = std::min(smallest, simulation.model_of(client).weight());
                      }
                      const auto messages = simulation.in_flight();
                      for (const auto& message : messages) sum += message.weight;
                      most_in_flight = std::max(most_in_flight, static_cast<int>(messages.size()));
                      EXPECT_NEAR(sum, 1, 1e-12);
                      ++events;
                    });
  EXPECT_GT(events, 120);
  EXPECT_GT(most_in_flight, 0);
  EXPECT_LT(smallest, 0.1);
}

TEST(PeerSimulation, WhatCannotWorkIsRefusedInOneLine) {
  struct Case {
    Keys keys;
    std::string says;
  };
  const std::vector<Case> cases{
      {{{"topology.name", "ring"}, {"sync.mode", "async"}}, "use sync.mode = bsp"},
      {{{"topology.name", "gossip"}, {"sync.mode", "ssp"}}, "use sync.mode = bsp or async"},
      {{{"topology.name", "ring"}, {"algorithm.name", "easgd"}}, "needs a server"},
      {{{"topology.name", "gossip"}, {"algorithm.name", "fedbuff"}}, "needs a server"},
      {{{"topology.name", "gossip"}, {"algorithm.name", "sync_sgd"}}, "use topology.name = ring"},
      {{{"topology.name", "ring"}, {"algorithm.name", "sync_sgd"}, {"data.clients", "300"}}, "at most 256"},
      {{{"topology.name", "mpi_allreduce"}}, "under mpirun only"},
      {{{"topology.name", "ring"}, {"cohort.fraction", "0.5"}}, "cohort.fraction"},
      {{{"topology.name", "ring"}, {"server.optimizer", "adam"}}, "server.optimizer"},
      {{{"topology.name", "ring"}, {"devices.dropout", "0.1"}}, "devices.dropout"},
      {{{"topology.name", "ring"}, {"topology.graph", "torus"}}, "only used with topology.name = gossip"},
      {{{"topology.name", "gossip"}, {"topology.gossip.method", "go_sgd"}}, "use sync.mode = async"},
      {{{"topology.name", "gossip"}, {"sync.mode", "async"}, {"topology.gossip.method", "d_psgd"}},
       "use sync.mode = bsp"},
      {{{"topology.name", "gossip"}, {"data.clients", "7"}, {"topology.graph", "torus"}}, "topology.graph"},
  };
  for (const Case& one : cases) {
    try {
      simulate_peers(one.keys);
      ADD_FAILURE() << one.says << ": accepted";
    } catch (const ConfigError& error) {
      EXPECT_THAT(error.what(), HasSubstr(one.says));
      EXPECT_THAT(error.what(), ::testing::Not(HasSubstr("\n")));
    }
  }
}

// --- the arithmetic

std::unique_ptr<Compressor> no_compressor() {
  auto schema = std::make_shared<OptionSchema>();
  add_methods(*schema, down_compressors().describe());
  return down_compressors().make(Options(schema));
}

Compressed compressed(const SharedFloats& values) {
  return {values.size(), {values.owner, std::as_bytes(values.values)}};
}

constexpr std::size_t kFloats = 40;

std::vector<PeerModel> random_models(int peers, double weight = 1) {
  Rng rng(1, Purpose::test);
  std::vector<PeerModel> models;
  for (int peer = 0; peer < peers; ++peer) {
    FloatBuffer values(kFloats);
    for (float& value : values) value = static_cast<float>(rng.normal());
    models.emplace_back(std::move(values), weight);
  }
  return models;
}

// Of each element, over the peers.
std::vector<double> sums_of(const std::vector<PeerModel>& models, bool weighted = false) {
  std::vector<double> sums(kFloats);
  for (const PeerModel& model : models) {
    for (std::size_t i = 0; i < kFloats; ++i) sums[i] += model.values()[i] * (weighted ? model.weight() : 1);
  }
  return sums;
}

double distance(const std::vector<PeerModel>& models) {
  const std::vector<double> sums = sums_of(models);
  double squares = 0;
  for (const PeerModel& model : models) {
    for (std::size_t i = 0; i < kFloats; ++i) {
      const double away = model.values()[i] - sums[i] / static_cast<double>(models.size());
      squares += away * away;
    }
  }
  return std::sqrt(squares);
}

void mix_all(std::vector<PeerModel>& models, const GossipPlan& plan, Round round) {
  const auto none = no_compressor();
  std::vector<SharedFloats> sent;
  for (const PeerModel& model : models) sent.push_back(model.share());
  for (Rank self = 0; self < plan.graph().size(); ++self) {
    const auto row = plan.row(self, round);
    std::map<ClientId, Compressed> arrived;
    for (const MixingWeight& entry : row) {
      if (entry.peer != self) arrived[entry.peer] = compressed(sent[static_cast<std::size_t>(entry.peer)]);
    }
    const auto index = static_cast<std::size_t>(self);
    ASSERT_EQ(models[index].mix(row, self, sent[index].values, arrived, *none), 0U);
  }
}

// The second largest magnitude of an eigenvalue of W: powers of W in doubles, on what is orthogonal to 1.
double spectral_rate(const GossipPlan& plan) {
  const auto peers = static_cast<std::size_t>(plan.graph().size());
  std::vector<double> x(peers);
  Rng rng(2, Purpose::test);
  for (double& value : x) value = rng.normal();
  double rate = 0;
  for (int power = 0; power < 4000; ++power) {
    double mean = 0, norm = 0;
    for (const double value : x) mean += value / static_cast<double>(peers);
    for (double& value : x) {
      value -= mean;
      norm += value * value;
    }
    for (double& value : x) value /= std::sqrt(norm);
    std::vector<double> next(peers);
    double squares = 0;
    for (std::size_t i = 0; i < peers; ++i) {
      for (const MixingWeight& entry : plan.row(static_cast<Rank>(i), 1))
        next[i] += entry.weight * x[static_cast<std::size_t>(entry.peer)];
      squares += next[i] * next[i];
    }
    rate = std::sqrt(squares);
    if (squares == 0) break;
    x = std::move(next);
  }
  return rate;
}

TEST(PeerModel, DPsgdAgreesAtTheGraphsSpectralRate) {
  struct Case {
    std::string graph;
    int peers;
    std::int64_t degree;
  };
  for (const Case& one : {Case{"ring", 8, 0}, Case{"ring", 5, 0}, Case{"torus", 12, 0}, Case{"torus", 9, 0},
                          Case{"exponential", 16, 0}, Case{"random_regular", 20, 3}}) {
    for (const GraphWeights weights : {GraphWeights::metropolis, GraphWeights::uniform}) {
      const GossipPlan plan(make_graph(one.graph, one.peers, one.degree, 1), {GossipMethod::d_psgd, weights});
      const double expected = spectral_rate(plan);
      ASSERT_GT(expected, 0.1);
      ASSERT_LT(expected, 0.99);
      auto models = random_models(one.peers);
      const double start = distance(models);
      std::vector<double> distances{start};
      for (Round round = 1; distances.back() > 1e-4 * start; ++round) {
        ASSERT_LT(round, 1000) << one.graph;
        mix_all(models, plan, round);
        distances.push_back(distance(models));
      }
      // The later half, when the slowest mode is what is left.
      const std::size_t half = distances.size() / 2;
      const double rate = std::pow(distances.back() / distances[half],
                                   1.0 / static_cast<double>(distances.size() - 1 - half));
      EXPECT_NEAR(rate, expected, 0.1 * expected) << one.graph << " of " << one.peers;
    }
  }
}

TEST(PeerModel, MixingConservesTheMean) {
  for (const GossipMethod method : {GossipMethod::d_psgd, GossipMethod::pairwise}) {
    const GossipPlan plan(make_graph("torus", 6, 0, 1), {method});
    auto models = random_models(6);
    const auto before = sums_of(models);
    const double apart = distance(models);
    for (Round round = 1; round <= 40; ++round) mix_all(models, plan, round);
    const auto after = sums_of(models);
    for (std::size_t i = 0; i < kFloats; ++i) EXPECT_NEAR(after[i], before[i], 1e-5);
    EXPECT_LT(distance(models), 0.05 * apart);
  }
}

TEST(PeerModel, WhoIsMissingCountsAsOneself) {
  const auto none = no_compressor();
  auto models = random_models(3);
  const SharedFloats own = models[1].share(), other = models[0].share();
  const std::vector<MixingWeight> row{{0, 0.25}, {1, 0.5}, {2, 0.25}};
  ASSERT_EQ(models[1].mix(row, 1, own.values, {{0, compressed(other)}}, *none), 0U);
  for (std::size_t i = 0; i < kFloats; ++i)
    EXPECT_FLOAT_EQ(models[1].values()[i], 0.25F * other.values[i] + 0.75F * own.values[i]);
}

// Questions and answers cross, and models move in between: the sum over models and answers on their way
// stays.
TEST(PeerModel, PairwiseAveragingConservesTheSumWithMessagesInFlight) {
  const auto none = no_compressor();
  auto models = random_models(2);
  const auto before = sums_of(models);
  const double apart = distance(models);
  const SharedFloats question0 = models[0].share(), question1 = models[1].share();
  const auto answer0 = models[1].take_half(compressed(question0), *none);
  const auto answer1 = models[0].take_half(compressed(question1), *none);
  ASSERT_TRUE(answer0.ok() && answer1.ok());
  auto sums = sums_of(models);
  for (std::size_t i = 0; i < kFloats; ++i)
    EXPECT_NEAR(sums[i] - answer0.value().values[i] - answer1.value().values[i], before[i], 1e-5);
  ASSERT_TRUE(models[0].give(compressed(answer0.value()), *none).ok());
  ASSERT_TRUE(models[1].give(compressed(answer1.value()), *none).ok());
  sums = sums_of(models);
  for (std::size_t i = 0; i < kFloats; ++i) EXPECT_NEAR(sums[i], before[i], 1e-5);
  EXPECT_NEAR(distance(models), apart, 1e-4);  // both went all the way: they have changed places

  // One question alone leaves both with the mean.
  const auto answer = models[1].take_half(compressed(models[0].share()), *none);
  ASSERT_TRUE(models[0].give(compressed(answer.value()), *none).ok());
  EXPECT_LT(distance(models), 1e-5);
  sums = sums_of(models);
  for (std::size_t i = 0; i < kFloats; ++i) EXPECT_NEAR(sums[i], before[i], 1e-5);
}

TEST(PeerModel, GoSgdConservesWeightAndWeightedSumWithMessagesInFlight) {
  const auto none = no_compressor();
  constexpr int kPeers = 5;
  auto models = random_models(kPeers, 1.0 / kPeers);
  const auto before = sums_of(models, true);
  const double apart = distance(models);
  struct InFlight {
    std::size_t to;
    SharedFloats values;
    double weight;
  };
  std::vector<InFlight> messages;
  Rng rng(3, Purpose::test);
  for (int exchange = 0; exchange < 400; ++exchange) {
    const auto from = static_cast<std::size_t>(rng.below(kPeers));
    const double weight = models[from].halve_weight();
    messages.push_back({(from + 1 + static_cast<std::size_t>(rng.below(kPeers - 1))) % kPeers,
                        models[from].share(), weight});
    // In any order, up to six on their way.
    while (!messages.empty() && (messages.size() > 6 || rng.below(2) == 0)) {
      const auto next = messages.begin() + static_cast<std::ptrdiff_t>(rng.below(messages.size()));
      ASSERT_TRUE(models[next->to].absorb(compressed(next->values), next->weight, *none).ok());
      messages.erase(next);
    }
    double weights = 0;
    auto sums = sums_of(models, true);
    for (const PeerModel& model : models) weights += model.weight();
    for (const InFlight& message : messages) {
      weights += message.weight;
      for (std::size_t i = 0; i < kFloats; ++i) sums[i] += message.weight * message.values.values[i];
    }
    ASSERT_NEAR(weights, 1, 1e-13);
    for (std::size_t i = 0; i < kFloats; ++i) ASSERT_NEAR(sums[i], before[i], 1e-5);
  }
  EXPECT_LT(distance(models), 1e-4 * apart);
}

TEST(PeerModel, WhatIsMalformedChangesNothing) {
  const auto none = no_compressor();
  auto models = random_models(2);
  const FloatBuffer before(models[0].values().begin(), models[0].values().end());
  const Compressed shorter = compressed(SharedFloats::of(FloatBuffer(kFloats - 1)));
  EXPECT_FALSE(models[0].take_half(shorter, *none).ok());
  EXPECT_FALSE(models[0].give(shorter, *none).ok());
  EXPECT_FALSE(models[0].absorb(shorter, 0.5, *none).ok());
  const std::vector<MixingWeight> row{{0, 0.5}, {1, 0.5}};
  EXPECT_EQ(models[0].mix(row, 0, before, {{1, shorter}}, *none), 1U);
  EXPECT_EQ(FloatBuffer(models[0].values().begin(), models[0].values().end()), before);
  EXPECT_EQ(models[0].weight(), 1);
}

TEST(PeerModel, WhatWasSharedStaysAsItWas) {
  const auto none = no_compressor();
  auto models = random_models(2);
  const SharedFloats shared = models[0].share();
  const FloatBuffer before(shared.values.begin(), shared.values.end());
  ASSERT_TRUE(models[0].give(compressed(models[1].share()), *none).ok());
  EXPECT_EQ(FloatBuffer(shared.values.begin(), shared.values.end()), before);
  EXPECT_NE(FloatBuffer(models[0].values().begin(), models[0].values().end()), before);
}

}  // namespace
}  // namespace gossamer

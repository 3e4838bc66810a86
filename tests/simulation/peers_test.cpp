// Peers without a server, in virtual time.
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
  for (const char* topology : {"ring", "grouped_ring", "all_to_all"}) {
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
                           Keys{{"topology.name", "gossip"}, {"compression.down", "top_k"}},
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
  EXPECT_EQ(bytes({{"topology.name", "grouped_ring"}}), 2 * 5 * (floats + 1) * 4);
  EXPECT_EQ(bytes({{"topology.name", "all_to_all"}}), 6 * 5 * (floats + 1) * 4);
  EXPECT_EQ(bytes({{"topology.name", "gossip"}}), 6 * 2 * (kFrameHeaderBytes + floats * 4));
  EXPECT_EQ(bytes({{"topology.name", "gossip"}, {"topology.graph", "complete"}}),
            6 * 5 * (kFrameHeaderBytes + floats * 4));
  // A bit a weight and two means, and the biases as they are.
  EXPECT_EQ(bytes({{"topology.name", "gossip"}, {"compression.down", "one_bit"}}),
            6 * 2 * (kFrameHeaderBytes + 7840 / 8 + 8 + 10 * 4));
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
  const std::vector<Keys> ways{
      {{"topology.name", "ring"}},
      {{"topology.name", "gossip"}},
      {{"topology.name", "ring"}, {"compression.up", "top_k"}, {"run.eval_every", "4"}},
      {{"topology.name", "all_to_all"}, {"compression.up", "one_bit"}},
      {{"topology.name", "grouped_ring"}, {"compression.up", "bounded_error"}},
      {{"topology.name", "gossip"},
       {"compression.down", "int8"},
       {"compression.int8.rounding", "stochastic"}},
      {{"topology.name", "gossip"}, {"compression.down", "one_bit"}},
      {{"topology.name", "gossip"}, {"compression.down", "powersgd"}, {"topology.gossip.overlap", "true"}},
  };
  for (const Keys& way : ways) {
    const std::string topology = way.at("topology.name");
    const Keys keys = kSmall + way + Keys{{"run.rounds", "9"}, {"server.checkpoint_every", "1"}};
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
      {{{"topology.name", "grouped_ring"}, {"topology.grouped_ring.groups", "4"}},
       "topology.grouped_ring.groups = 4: 6 peers"},
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

}  // namespace
}  // namespace gossamer

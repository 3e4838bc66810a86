// The arithmetic by which peers' models change.
#include "client/peer_model.h"

#include <gtest/gtest.h>

#include <cmath>

#include "comms/topologies/topology.h"
#include "compression/compressor.h"

namespace gossamer {
namespace {

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
  const auto none = make_no_compressor(0);
  std::vector<SharedFloats> sent;
  for (const PeerModel& model : models) sent.push_back(model.share());
  for (Rank self = 0; self < plan.graph().size(); ++self) {
    const auto row = plan.row(self, round);
    std::map<ClientId, Compressed> arrived;
    for (const MixingWeight& entry : row) {
      if (entry.peer != self) arrived[entry.peer] = as_they_are(sent[static_cast<std::size_t>(entry.peer)]);
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
  const auto none = make_no_compressor(0);
  auto models = random_models(3);
  const SharedFloats own = models[1].share(), other = models[0].share();
  const std::vector<MixingWeight> row{{0, 0.25}, {1, 0.5}, {2, 0.25}};
  ASSERT_EQ(models[1].mix(row, 1, own.values, {{0, as_they_are(other)}}, *none), 0U);
  for (std::size_t i = 0; i < kFloats; ++i)
    EXPECT_FLOAT_EQ(models[1].values()[i], 0.25F * other.values[i] + 0.75F * own.values[i]);
}

// The half of a difference, as it is sent and as whoever was asked has taken it.
Compressed answer_of(PeerModel& asked, const PeerModel& asker, const Compressor& down) {
  Rng rng(1, Purpose::compression);
  const auto half = asked.half_difference(down.compress(asker.share(), {}, {}, rng), down);
  EXPECT_TRUE(half.ok());
  Compressed answer = down.compress(half.value(), {}, {}, rng);
  EXPECT_TRUE(asked.take(answer, down).ok());
  return answer;
}

std::unique_ptr<Compressor> model_compressor(const std::string& name) {
  auto schema = std::make_shared<OptionSchema>();
  add_compression_options(*schema);
  Options options(schema);
  options.set("compression.down", name);
  options.set("compression.min_size", "0");
  return down_compressors().make(
      options, ParameterLayout({{"w", {static_cast<std::int64_t>(kFloats)}, 0, 0, TensorRole::parameter}}));
}

// Questions and answers cross, and models move in between: the sum over models and answers on their way
// stays, whatever compression leaves out of either.
TEST(PeerModel, PairwiseAveragingConservesTheSumWithMessagesInFlight) {
  for (const char* name : {"none", "fp16", "int8"}) {
    const auto down = model_compressor(name);
    auto models = random_models(2);
    const auto before = sums_of(models);
    const double apart = distance(models);
    const PeerModel asker0(FloatBuffer(models[0].values().begin(), models[0].values().end()));
    const PeerModel asker1(FloatBuffer(models[1].values().begin(), models[1].values().end()));
    const Compressed answer0 = answer_of(models[1], asker0, *down);
    const Compressed answer1 = answer_of(models[0], asker1, *down);
    FloatBuffer on_the_way(kFloats, 0.0F);
    ASSERT_TRUE(down->decompress_add(answer0, 1, on_the_way).ok());
    ASSERT_TRUE(down->decompress_add(answer1, 1, on_the_way).ok());
    auto sums = sums_of(models);
    for (std::size_t i = 0; i < kFloats; ++i) EXPECT_NEAR(sums[i] - on_the_way[i], before[i], 1e-5);
    ASSERT_TRUE(models[0].give(answer0, *down).ok());
    ASSERT_TRUE(models[1].give(answer1, *down).ok());
    sums = sums_of(models);
    for (std::size_t i = 0; i < kFloats; ++i) EXPECT_NEAR(sums[i], before[i], 1e-5);
    // Both went all the way: they have changed places.
    EXPECT_NEAR(distance(models), apart, name == std::string("none") ? 1e-4 : 0.02 * apart);

    // One question alone leaves both with the mean.
    const PeerModel asker(FloatBuffer(models[0].values().begin(), models[0].values().end()));
    ASSERT_TRUE(models[0].give(answer_of(models[1], asker, *down), *down).ok());
    EXPECT_LT(distance(models), name == std::string("none") ? 1e-5 : 0.02 * apart);
    sums = sums_of(models);
    for (std::size_t i = 0; i < kFloats; ++i) EXPECT_NEAR(sums[i], before[i], 1e-5);
  }
}

TEST(PeerModel, GoSgdConservesWeightAndWeightedSumWithMessagesInFlight) {
  const auto none = make_no_compressor(0);
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
      ASSERT_TRUE(models[next->to].absorb(as_they_are(next->values), next->weight, *none).ok());
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
  const auto none = make_no_compressor(0);
  auto models = random_models(2);
  const FloatBuffer before(models[0].values().begin(), models[0].values().end());
  const Compressed shorter = as_they_are(SharedFloats::of(FloatBuffer(kFloats - 1)));
  EXPECT_FALSE(models[0].half_difference(shorter, *none).ok());
  EXPECT_FALSE(models[0].take(shorter, *none).ok());
  EXPECT_FALSE(models[0].give(shorter, *none).ok());
  EXPECT_FALSE(models[0].absorb(shorter, 0.5, *none).ok());
  const std::vector<MixingWeight> row{{0, 0.5}, {1, 0.5}};
  EXPECT_EQ(models[0].mix(row, 0, before, {{1, shorter}}, *none), 1U);
  EXPECT_EQ(FloatBuffer(models[0].values().begin(), models[0].values().end()), before);
  EXPECT_EQ(models[0].weight(), 1);
}

TEST(PeerModel, WhatWasSharedStaysAsItWas) {
  const auto none = make_no_compressor(0);
  auto models = random_models(2);
  const SharedFloats shared = models[0].share();
  const FloatBuffer before(shared.values.begin(), shared.values.end());
  ASSERT_TRUE(models[0].give(as_they_are(models[1].share()), *none).ok());
  EXPECT_EQ(FloatBuffer(shared.values.begin(), shared.values.end()), before);
  EXPECT_NE(FloatBuffer(models[0].values().begin(), models[0].values().end()), before);
}

}  // namespace
}  // namespace gossamer

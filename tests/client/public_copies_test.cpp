// Gossip of differences: consensus by compressed messages alone, and copies that agree.
#include "client/public_copies.h"

#include <gtest/gtest.h>

#include <cmath>

#include "client/peer_model.h"
#include "comms/topologies/topology.h"

namespace gossamer {
namespace {

constexpr std::size_t kRows = 24, kColumns = 40, kWeights = kRows * kColumns;

ParameterLayout matrix_layout() {
  return ParameterLayout({{"w", {kRows, kColumns}, 0, 0, TensorRole::parameter}});
}

Options copy_options(const std::map<std::string, std::string>& keys) {
  auto schema = std::make_shared<OptionSchema>();
  add_compression_options(*schema);
  schema->add(integer_option("run.seed", 1, "of the run"));
  Options options(schema);
  options.set("compression.min_size", "0");
  options.set("compression.down_form", "difference");
  for (const auto& [key, value] : keys) options.set(key, value);
  return options;
}

FloatBuffer start_of(std::uint64_t seed) {
  Rng rng(seed, Purpose::test);
  FloatBuffer values(kWeights);
  for (float& value : values) value = static_cast<float>(rng.normal());
  return values;
}

// Peers on a graph that do not train, each with copies of its own as a process of its own has them.
struct Peers {
  Peers(const Options& options, GossipPlan mixing) : plan(std::move(mixing)) {
    const FloatBuffer start(kWeights, 0.0F);
    for (Rank peer = 0; peer < plan.graph().size(); ++peer) {
      models.emplace_back(start_of(static_cast<std::uint64_t>(peer) + 1));
      copies.emplace_back(options, matrix_layout());
      EXPECT_TRUE(copies.back().begin(peer, start, 0).ok());
      for (const Rank other : neighbours(peer))
        EXPECT_TRUE(copies.back().hold(other, as_they_are(SharedFloats::of(FloatBuffer(start))), 0).ok());
    }
  }

  const std::vector<Rank>& neighbours(Rank peer) const {
    return plan.graph().neighbours[static_cast<std::size_t>(peer)];
  }
  PublicCopies& copies_of(Rank peer) { return copies[static_cast<std::size_t>(peer)]; }

  std::size_t exchange(Round round, double step) {
    std::size_t bytes = 0;
    std::vector<Compressed> sent;
    for (Rank peer = 0; peer < plan.graph().size(); ++peer) {
      sent.push_back(copies_of(peer).next(peer, models[static_cast<std::size_t>(peer)].share(), round));
      bytes += sent.back().payload.size();
    }
    for (Rank peer = 0; peer < plan.graph().size(); ++peer) {
      for (const Rank other : neighbours(peer))
        EXPECT_TRUE(copies_of(peer).add(other, sent[static_cast<std::size_t>(other)], round).ok());
      PeerModel& model = models[static_cast<std::size_t>(peer)];
      const SharedFloats own = model.share();
      EXPECT_EQ(model.approach(plan.row(peer, round), peer, own.values, copies_of(peer), round, step), 0U);
    }
    return bytes;
  }

  std::vector<double> mean() const {
    std::vector<double> sums(kWeights);
    for (const PeerModel& model : models) {
      for (std::size_t i = 0; i < kWeights; ++i)
        sums[i] += model.values()[i] / static_cast<double>(models.size());
    }
    return sums;
  }
  double distance() const {
    const std::vector<double> middle = mean();
    double squares = 0;
    for (const PeerModel& model : models) {
      for (std::size_t i = 0; i < kWeights; ++i) squares += std::pow(model.values()[i] - middle[i], 2);
    }
    return std::sqrt(squares);
  }

  GossipPlan plan;
  std::vector<PeerModel> models;
  std::vector<PublicCopies> copies;
};

GossipPlan ring_of(int peers) { return {make_graph("ring", peers, 0, 1), {}}; }

struct Case {
  std::string method;
  double step;
  Round rounds;
  std::map<std::string, std::string> keys{};
};
const std::vector<Case> kCases{
    {"fp16", 1, 60},
    {"int8", 1, 60},
    {"one_bit", 0.3, 400},
    {"qsgd", 0.5, 200},
    {"terngrad", 0.2, 400},
    {"top_k", 0.2, 400, {{"compression.top_k.density", "0.1"}}},
    {"random_k", 0.1, 600, {{"compression.random_k.density", "0.1"}}},
    {"powersgd", 0.2, 400},
};

Options options_of(const Case& tested) {
  auto keys = tested.keys;
  keys["compression.down"] = tested.method;
  return copy_options(keys);
}

// CHOCO-GOSSIP: the models come to the mean that they have had all along, whatever one message leaves out.
TEST(PublicCopies, CompressedDifferencesBringPeersToTheirMean) {
  for (const Case& tested : kCases) {
    Peers peers(options_of(tested), ring_of(6));
    const std::vector<double> mean = peers.mean();
    const double apart = peers.distance();
    for (Round round = 1; round <= tested.rounds; ++round) peers.exchange(round, tested.step);
    EXPECT_LT(peers.distance(), 0.01 * apart) << tested.method;
    const std::vector<double> after = peers.mean();
    for (std::size_t i = 0; i < kWeights; ++i) ASSERT_NEAR(after[i], mean[i], 1e-4) << tested.method;
  }
}

TEST(PublicCopies, AreTheSameWithAllWhoHoldThem) {
  for (const Case& tested : kCases) {
    Peers peers(options_of(tested), ring_of(5));
    for (Round round = 1; round <= 4; ++round) peers.exchange(round, tested.step);
    for (Rank peer = 0; peer < 5; ++peer) {
      const auto own = peers.copies_of(peer).after(4, peer);
      ASSERT_EQ(own.size(), kWeights);
      for (const Rank other : peers.neighbours(peer)) {
        const auto theirs = peers.copies_of(other).after(4, peer);
        EXPECT_TRUE(std::ranges::equal(own, theirs)) << tested.method;
      }
    }
  }
}

// Of everything that differs from what compression leaves exact, a peer goes the whole way: D-PSGD.
TEST(PublicCopies, ExactDifferencesMixAsModelsDo) {
  Peers peers(copy_options({{"compression.down", "top_k"}, {"compression.top_k.density", "1"}}), ring_of(5));
  std::vector<PeerModel> mixed = peers.models;
  const auto none = make_no_compressor(kWeights);
  for (Round round = 1; round <= 3; ++round) {
    std::vector<SharedFloats> sent;
    for (const PeerModel& model : mixed) sent.push_back(model.share());
    for (Rank peer = 0; peer < 5; ++peer) {
      std::map<ClientId, Compressed> arrived;
      for (const Rank other : peers.neighbours(peer))
        arrived[other] = as_they_are(sent[static_cast<std::size_t>(other)]);
      const auto i = static_cast<std::size_t>(peer);
      ASSERT_EQ(mixed[i].mix(peers.plan.row(peer, round), peer, sent[i].values, arrived, *none), 0U);
    }
    peers.exchange(round, 1);
    for (std::size_t peer = 0; peer < 5; ++peer) {
      for (std::size_t i = 0; i < kWeights; ++i)
        ASSERT_NEAR(peers.models[peer].values()[i], mixed[peer].values()[i], 1e-5) << round;
    }
  }
}

TEST(PublicCopies, GoOnFromWhatWasShown) {
  for (const char* method : {"powersgd", "one_bit"}) {
    const Options options = copy_options({{"compression.down", method}});
    Peers peers(options, ring_of(4));
    for (Round round = 1; round <= 3; ++round) peers.exchange(round, 0.2);
    const SharedFloats model = peers.models[2].share();
    const SharedFloats shown = peers.copies[2].with_copy(2, model.values);
    EXPECT_TRUE(std::ranges::equal(shown.values.first(kWeights), model.values));
    PublicCopies resumed(options, matrix_layout());
    ASSERT_TRUE(resumed.begin(2, shown.values, 3).ok());
    const Compressed as_before = peers.copies[2].next(2, model, 4), now = resumed.next(2, model, 4);
    EXPECT_TRUE(std::ranges::equal(as_before.payload.bytes, now.payload.bytes)) << method;
    EXPECT_FALSE(resumed.begin(2, shown.values.first(kWeights + 1), 3).ok());
  }
}

// Whoever has sent what cannot be read, or has missed a round, is no longer known, and is left out.
TEST(PublicCopies, WhatDoesNotFitEndsACopy) {
  const Options options = copy_options({{"compression.down", "one_bit"}});
  Peers peers(options, ring_of(4));
  const Compressed first = peers.copies[1].next(1, peers.models[1].share(), 1);
  const Compressed second = peers.copies[1].next(1, peers.models[1].share(), 2);
  PublicCopies& held = peers.copies[0];
  const auto row = peers.plan.row(0, 1);

  EXPECT_TRUE(held.add(1, first, 1).ok());
  const FloatBuffer after_first(held.after(1, 1).begin(), held.after(1, 1).end());
  EXPECT_TRUE(held.add(1, first, 1).ok()) << "a second time";
  EXPECT_TRUE(std::ranges::equal(held.after(1, 1), after_first));
  EXPECT_TRUE(held.hold(1, peers.copies[1].whole(1), 1).ok()) << "the copy is of that round already";
  EXPECT_TRUE(std::ranges::equal(held.after(1, 1), after_first));

  EXPECT_FALSE(held.add(3, second, 2).ok()) << "the copy is of the round before the last";
  EXPECT_TRUE(held.after(0, 3).empty());
  EXPECT_FALSE(held.add(3, first, 1).ok());
  Compressed cut = second;
  cut.payload.bytes = cut.payload.bytes.first(cut.payload.bytes.size() - 1);
  EXPECT_FALSE(held.add(1, cut, 2).ok());
  EXPECT_FALSE(held.add(1, second, 2).ok()) << "there is no copy to add it to";
  EXPECT_FALSE(held.hold(1, as_they_are(SharedFloats::of(FloatBuffer(kWeights - 1))), 2).ok());

  held.next(0, peers.models[0].share(), 1);
  const SharedFloats own = peers.models[0].share();
  EXPECT_EQ(peers.models[0].approach(row, 0, own.values, held, 1, 0.5), 2U);
  EXPECT_TRUE(std::ranges::equal(peers.models[0].values(), own.values));
}

}  // namespace
}  // namespace gossamer

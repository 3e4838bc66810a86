// What a process holds of a stream of models, and what it says where that does not fit.
#include "client/received_models.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "client/participant.h"
#include "comms/codec.h"
#include "core/error.h"
#include "tests/comms/scripted_transport.h"
#include "tests/simulation/simulated.h"

namespace gossamer {
namespace {

using ::testing::Each;
using ::testing::ElementsAre;

constexpr std::uint64_t kRun = 5;

// A server of one or two shards with models of six floats; differences of two values a range.
class Stream {
 public:
  explicit Stream(std::int64_t shards)
      : options_(full_schema()),
        layout_({{"w", {6}, 0, 0, TensorRole::parameter}}),
        plan_(with_keys(options_), layout_, shards),
        held_(options_, plan_.plan) {}

  ReceivedModels& held() { return held_; }
  const ShardPlan& plan() const { return plan_.plan; }

  Parcel whole(Round round, const FloatBuffer& model) const {
    std::vector<Compressed> ranges;
    for (std::size_t s = 0; s < plan().shards(); ++s) {
      const auto part = plan().part(std::span<const float>(model), s);
      ranges.push_back(as_they_are(SharedFloats::of({part.begin(), part.end()})));
    }
    return encoded(round, ranges, {});
  }
  Parcel difference(Round round, const FloatBuffer& base, const FloatBuffer& by) const {
    std::vector<Compressed> ranges;
    std::vector<std::uint64_t> bases;
    for (std::size_t s = 0; s < plan().shards(); ++s) {
      Rng rng(1, Purpose::test);
      const auto part = plan().part(std::span<const float>(by), s);
      ranges.push_back(ModelCodec(options_, plan().layout(s))
                           .difference()
                           ->compress(SharedFloats::of({part.begin(), part.end()}), {}, {}, rng));
      bases.push_back(mark_of(plan().part(std::span<const float>(base), s)));
    }
    return encoded(round, ranges, bases);
  }

 private:
  struct Planned {
    Planned(const Options&, const ParameterLayout& layout, std::int64_t shards) : plan(layout, shards) {}
    ShardPlan plan;
  };
  static const Options& with_keys(Options& options) {
    options.set("compression.down", "top_k");
    options.set("compression.top_k.density", "0.67");
    options.set("compression.min_size", "0");
    return options;
  }
  static Parcel encoded(Round round, std::span<const Compressed> ranges,
                        std::span<const std::uint64_t> bases) {
    return pass_through(ModelEncoder(kRun).encode(round, 0, ranges[0], ranges.subspan(1), {}, bases))
        .value_or({});
  }

  Options options_;
  ParameterLayout layout_;
  Planned plan_;
  ReceivedModels held_;
};

class Received : public ::testing::TestWithParam<std::int64_t> {
 protected:
  // What the frames make; empty where they make nothing.
  std::vector<float> model_of(const Parcel& parcel) {
    const auto model = stream_.held().receive(parcel);
    if (!model) return {};
    return {model.value().values.begin(), model.value().values.end()};
  }

  Stream stream_{GetParam()};
  const FloatBuffer first_{1, 2, 3, 4, 5, 6};
  const FloatBuffer by_{10, 0, 10, 0, 10, 10};
  const FloatBuffer second_{11, 2, 13, 4, 15, 16};
};

TEST_P(Received, ADifferenceMakesAModelOfTheOneBefore) {
  EXPECT_THAT(model_of(stream_.difference(2, first_, by_)), ElementsAre()) << "nothing is held";
  EXPECT_THAT(model_of(stream_.whole(1, first_)), ElementsAre(1, 2, 3, 4, 5, 6));
  EXPECT_THAT(model_of(stream_.difference(2, second_, by_)), ElementsAre()) << "not what is held";
  EXPECT_THAT(model_of(stream_.difference(2, first_, by_)), ElementsAre(11, 2, 13, 4, 15, 16));
  EXPECT_THAT(model_of(stream_.difference(3, second_, by_)), ElementsAre(21, 2, 23, 4, 25, 26));
  EXPECT_THAT(model_of(stream_.difference(4, first_, {5, 0, 5, 0, 5, 5})), ElementsAre())
      << "to the one of two versions ago";
}

// Whichever client comes first.
TEST_P(Received, EveryClientGetsOneAndTheSameVersion) {
  const Parcel whole = stream_.whole(2, second_), difference = stream_.difference(2, first_, by_);
  for (const bool whole_first : {true, false}) {
    Stream stream(GetParam());
    ASSERT_TRUE(stream.held().receive(stream.whole(1, first_)).ok());
    std::vector<const float*> places;
    for (const bool as_whole : {whole_first, !whole_first, whole_first, !whole_first}) {
      const auto model = stream.held().receive(as_whole ? whole : difference);
      ASSERT_TRUE(model.ok());
      places.push_back(model.value().values.data());
    }
    EXPECT_THAT(places, Each(places.front())) << "decoded once, and held once";
  }
}

TEST_P(Received, WhatIsGivenOutOutlivesTheStream) {
  auto stream = std::make_unique<Stream>(GetParam());
  const auto model = stream->held().receive(stream->whole(1, first_));
  stream.reset();
  ASSERT_TRUE(model.ok());
  EXPECT_THAT(std::vector<float>(model.value().values.begin(), model.value().values.end()),
              ElementsAre(1, 2, 3, 4, 5, 6));
}

// Work that was called off may come to its turn late.
TEST_P(Received, AnOlderModelTakesNoPlace) {
  ASSERT_TRUE(stream_.held().receive(stream_.whole(4, first_)).ok());
  ASSERT_TRUE(stream_.held().receive(stream_.difference(5, first_, by_)).ok());
  EXPECT_THAT(model_of(stream_.whole(2, {9, 9, 9, 9, 9, 9})), Each(9));
  EXPECT_THAT(model_of(stream_.whole(3, {8, 8, 8, 8, 8, 8})), Each(8));
  EXPECT_THAT(model_of(stream_.difference(6, second_, by_)), ElementsAre(21, 2, 23, 4, 25, 26));
}

TEST_P(Received, AServerThatWentBackIsFollowed) {
  ASSERT_TRUE(stream_.held().receive(stream_.whole(8, {9, 9, 9, 9, 9, 9})).ok());
  ASSERT_TRUE(stream_.held().receive(stream_.whole(9, {7, 7, 7, 7, 7, 7})).ok());
  stream_.held().rewind(0, 5);
  EXPECT_THAT(model_of(stream_.whole(5, first_)), ElementsAre(1, 2, 3, 4, 5, 6));
  stream_.held().rewind(0, 6);
  EXPECT_THAT(model_of(stream_.difference(6, first_, by_)), ElementsAre(11, 2, 13, 4, 15, 16));
}

TEST_P(Received, MalformedFramesAreFaults) {
  ASSERT_TRUE(stream_.held().receive(stream_.whole(1, first_)).ok());
  Parcel cut = stream_.difference(2, first_, by_);
  Frame& last = cut.more.empty() ? cut.first : cut.more.back();
  last.payload.bytes = last.payload.bytes.first(last.payload.size() - 1);
  EXPECT_THAT(model_of(cut), ElementsAre());
  cut = stream_.whole(2, second_);
  cut.first.header.elements += 1;
  EXPECT_THAT(model_of(cut), ElementsAre());
  EXPECT_THAT(model_of(stream_.difference(2, first_, by_)), ElementsAre(11, 2, 13, 4, 15, 16))
      << "and change nothing";
}

INSTANTIATE_TEST_SUITE_P(Shards, Received, ::testing::Values(1, 2));

// Clients below different aggregators are sent different models.
TEST(ReceivedInATree, EachAggregatorHasAStreamOfItsOwn) {
  Options options(full_schema());
  for (const auto& [key, value] : std::map<std::string, std::string>{{"topology.name", "tree"},
                                                                     {"topology.tree.fanout", "2"},
                                                                     {"data.clients", "4"},
                                                                     {"compression.down", "top_k"},
                                                                     {"compression.min_size", "0"}})
    options.set(key, value);
  const ParameterLayout layout({{"w", {2}, 0, 0, TensorRole::parameter}});
  ReceivedModels held(options, ShardPlan(layout, 1));
  const ModelCodec codec(options, layout);
  const auto whole = [&](Round round, ClientId client, const FloatBuffer& model) {
    return held.receive(
        {encode_model(kRun, round, client, 0, as_they_are(SharedFloats::of(FloatBuffer(model)))), {}});
  };
  const auto difference = [&](Round round, ClientId client, const FloatBuffer& base) {
    Rng rng(1, Purpose::test);
    const Compressed by = codec.difference()->compress(SharedFloats::of({5, 0}), {}, {}, rng);
    return held.receive({encode_model(kRun, round, client, mark_of(base), by), {}});
  };
  for (Round round = 1; round <= 3; ++round) {
    ASSERT_TRUE(whole(round, 0, {static_cast<float>(round), 1}).ok());
    ASSERT_TRUE(whole(round, 3, {static_cast<float>(round), 2}).ok());
  }
  EXPECT_TRUE(difference(4, 1, {3, 1}).ok()) << "below the same one as client 0";
  EXPECT_TRUE(difference(4, 2, {3, 2}).ok());
  EXPECT_FALSE(difference(4, 3, {3, 1}).ok());
  EXPECT_FALSE(difference(4, 1000, {3, 1}).ok()) << "nobody";
}

// A client that is sent a difference to a model that it has not leaves, and comes back for a whole one.
TEST(ParticipantOfAStream, AsksForTheModelWhereADifferenceDoesNotFit) {
  const TemporaryFolder folder;
  Options options = configured({{"data.clients", "2"}, {"compression.down", "top_k"}}, folder);
  const auto data = make_dataset(options);
  resolve(options);
  Participant participant(options, *data);
  const FloatBuffer zeros(participant.model().layout()->size(), 0.0F);
  const Compressed model = as_they_are(SharedFloats::of(FloatBuffer(zeros)));
  const Compressed difference = [&] {
    Rng rng(1, Purpose::test);
    return ModelCodec(options, *participant.model().layout())
        .difference()
        ->compress(SharedFloats::of(FloatBuffer(zeros)), {}, {}, rng);
  }();

  ScriptedTransport transport;
  const auto say = [&](Frame frame) { transport.inbox.push_back(Message{0, std::move(frame)}); };
  say(encode_text(FrameType::welcome, kRun, 0, ""));
  say(encode_model(kRun, 3, 0, mark_of(zeros), difference));
  std::vector<std::uint64_t> attempts;
  transport.on_send = [&](const Frame& frame) {
    const FrameHeader& header = frame.header;
    if (header.type == FrameType::update && header.round == 3)
      say(encode_model(kRun, 4, 0, mark_of(zeros), difference));
    if (header.type == FrameType::update && header.round == 4) say(encode_finish(kRun, 0, "rounds", true));
    if (header.type != FrameType::hello) return;
    attempts.push_back(header.sequence);
    if (attempts.size() != 2) return;
    say(encode_text(FrameType::welcome, kRun, 0, ""));
    say(encode_model(kRun, 3, 0, 0, model));
  };
  EXPECT_EQ(participant.serve(transport, {0}, std::chrono::seconds(60), [] { return false; }), "rounds");
  EXPECT_EQ(transport.count(FrameType::leave, 0), 1);
  ASSERT_EQ(attempts.size(), 2U);
  EXPECT_NE(attempts[0], attempts[1]) << "the server has to take it for a new one";
  std::vector<Round> answered;
  for (const Message& message : transport.sent) {
    if (message.frame.header.type == FrameType::update) answered.push_back(message.frame.header.round);
  }
  EXPECT_THAT(answered, ElementsAre(3, 4));
}

}  // namespace
}  // namespace gossamer

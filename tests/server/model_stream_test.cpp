// A stream of models: what its sender and its receivers hold, and who is sent what.
#include "server/model_stream.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "coordinator_support.h"
#include "core/checksum.h"
#include "core/error.h"
#include "core/rng.h"
#include "server/edge_aggregator.h"
#include "server/lockstep_coordinator.h"

namespace gossamer {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using Given = std::map<std::string, std::string>;

constexpr std::size_t kStreamFloats = 40 * 48 + 10 + 16;

// A matrix, a vector that travels as it is, and statistics.
std::shared_ptr<Parameters> stream_model() {
  auto model = std::make_shared<Parameters>();
  model->layout = std::make_shared<const ParameterLayout>(
      std::vector<TensorSpec>{{"w", {40, 48}, 0, 0, TensorRole::parameter},
                              {"bias", {10}, 0, 0, TensorRole::parameter},
                              {"running_var", {16}, 0, 0, TensorRole::buffer}});
  model->values.assign(kStreamFloats, 1.0F);
  return model;
}

// The model of a round: everything has moved a little, and statistics stay above zero.
std::shared_ptr<const Parameters> moved(const Parameters& model, Round round) {
  auto next = std::make_shared<Parameters>(model);
  Rng rng(3, Purpose::test, 0, static_cast<std::uint64_t>(round));
  for (float& x : next->values) x += 0.01F * static_cast<float>(rng.normal());
  for (std::size_t i = kStreamFloats - 16; i < kStreamFloats; ++i)
    next->values[i] = static_cast<float>(rng.uniform());
  return next;
}

// Somebody at the other end.
class Receiver {
 public:
  Receiver(const Options& options, const ParameterLayout& layout) : codec_(options, layout) {}

  bool take(const Compressed& content, std::uint64_t base) {
    FloatBuffer values(kStreamFloats);
    const ModelCodec::Held held{held_, held_.empty() ? 0 : mark_of(held_)};
    if (!codec_.decode(content, base, held, values)) return false;
    held_ = std::move(values);
    return true;
  }
  const FloatBuffer& held() const { return held_; }

 private:
  ModelCodec codec_;
  FloatBuffer held_;
};

FloatBuffer reference_of(const ModelStream& stream) {
  return {stream.reference().begin(), stream.reference().end()};
}

double distance(std::span<const float> one, std::span<const float> other) {
  double sum = 0;
  for (std::size_t i = 0; i < one.size(); ++i)
    sum += std::pow(static_cast<double>(one[i]) - static_cast<double>(other[i]), 2);
  return std::sqrt(sum);
}

std::vector<Given> difference_settings() {
  std::vector<Given> all;
  for (const std::string& method : down_compressors().names()) {
    if (method == "none" || method == "adacomp" || method == "esgd") continue;
    all.push_back({{"compression.down", method}, {"compression.down_form", "difference"}});
  }
  all.push_back({{"compression.down", "qsgd"}, {"compression.qsgd.bits", "2"}});
  all.push_back({{"compression.down", "terngrad"}, {"compression.terngrad.clip", "0"}});
  all.push_back({{"compression.down", "sketched"}, {"compression.sketched.bits", "1"}});
  return all;
}

TEST(ModelStream, BothEndsHoldTheSameBits) {
  for (const Given& keys : difference_settings()) {
    const std::string name = ::testing::PrintToString(keys);
    const Options options = server_options(keys);
    std::shared_ptr<const Parameters> model = stream_model();
    ModelStream stream(options, *model->layout);
    Receiver always(options, *model->layout), sometimes(options, *model->layout);
    for (Round round = 1; round <= 30; ++round) {
      const auto broadcast = stream.next(model, round);
      ASSERT_EQ(broadcast.difference.has_value(), round > 1) << name;
      ASSERT_TRUE(round == 1 ? always.take(broadcast.whole, 0)
                             : always.take(*broadcast.difference, broadcast.base))
          << name;
      if (round % 3 == 0) {  // has missed two
        if (broadcast.difference && round > 3) {
          EXPECT_FALSE(sometimes.take(*broadcast.difference, broadcast.base)) << name;
        }
        ASSERT_TRUE(sometimes.take(broadcast.whole, 0)) << name;
        EXPECT_EQ(sometimes.held(), reference_of(stream)) << name;
      }
      EXPECT_EQ(always.held(), reference_of(stream)) << name;
      model = moved(*model, round);
    }
  }
}

// What one message leaves out comes with later ones: where the model stays, receivers come to it.
TEST(ModelStream, NothingIsLostForGood) {
  for (const Given& keys : difference_settings()) {
    const std::string name = ::testing::PrintToString(keys);
    const Options options = server_options(keys);
    std::shared_ptr<const Parameters> model = stream_model();
    ModelStream stream(options, *model->layout);
    Round round = 1;
    for (; round <= 20; ++round) {
      stream.next(model, round);
      model = moved(*model, round);
    }
    const double before = distance(model->values, stream.reference());
    EXPECT_GT(before, 0.1) << name;
    // Each value has its turn: of dgc's thousandth a message, after some thousand of them.
    const Round last = keys.at("compression.down") == "dgc" ? 4000 : 600;
    for (; round <= last; ++round) stream.next(model, round);
    const double after = distance(model->values, stream.reference());
    // What is left to these is a step that they do not send, for each value.
    const double steps = keys.at("compression.down") == "threshold"       ? 0.01
                         : keys.at("compression.down") == "bounded_error" ? 0x1p-10
                                                                          : 0;
    EXPECT_LT(after, steps > 0 ? steps * std::sqrt(static_cast<double>(kStreamFloats)) : 0.01 * before)
        << name;
  }
}

TEST(ModelStream, ASumOfDifferencesIsWhatTheModelHasMoved) {
  // Powers of two, so that sums are exact; one value a message.
  const Options options = server_options(
      {{"compression.down", "top_k"}, {"compression.top_k.density", "0.01"}, {"compression.min_size", "0"}});
  auto model = std::make_shared<Parameters>(*model_of({1, 2, 4, 8}));
  ModelStream stream(options, *model->layout);
  const ModelCodec codec(options, *model->layout);
  stream.next(model, 1);
  FloatBuffer sent(4, 0.0F);
  const auto send = [&](std::vector<float> values, Round round) {
    model = std::make_shared<Parameters>(*model);
    model->values.assign(values.begin(), values.end());
    const auto broadcast = stream.next(model, round);
    ASSERT_TRUE(codec.difference()->decompress_add(*broadcast.difference, 1, sent).ok());
  };
  send({2, 4, 8, 16}, 2);
  EXPECT_THAT(sent, ElementsAre(0, 0, 0, 8));
  send({2, 4, 8, 16}, 3);
  EXPECT_THAT(sent, ElementsAre(0, 0, 4, 8));
  send({2, 4, 4, 16}, 4);
  EXPECT_THAT(sent, ElementsAre(0, 0, 0, 8)) << "what was sent is taken back";
  send({2, 4, 4, 16}, 5);
  send({2, 4, 4, 16}, 6);
  EXPECT_THAT(sent, ElementsAre(1, 2, 0, 8));
  EXPECT_THAT(stream.reference(), ElementsAre(2, 4, 4, 16));
}

TEST(ModelStream, StatisticsTravelAsTheyAreAndStayAboveZero) {
  const Options options = server_options({{"compression.down", "one_bit"}});
  auto model = stream_model();
  ModelStream stream(options, *model->layout);
  for (Round round = 1; round <= 20; ++round) {
    stream.next(model, round);
    auto next = std::make_shared<Parameters>(*moved(*model, round));
    if (round % 2 == 0) next->values.back() = 1e-30F;
    model = next;
    stream.next(model, 100 + round);
    for (std::size_t i = kStreamFloats - 16; i < kStreamFloats; ++i) {
      EXPECT_NEAR(stream.reference()[i], model->values[i], 1e-6);
      EXPECT_GE(stream.reference()[i], 0.0F);
    }
  }
}

TEST(ModelStream, AModelWithoutNumbersIsRefused) {
  const Options options = server_options({{"compression.down", "top_k"}});
  auto model = stream_model();
  ModelStream stream(options, *model->layout);
  stream.next(model, 1);
  auto broken = std::make_shared<Parameters>(*model);
  broken->values[3] = std::nanf("");
  EXPECT_THROW(stream.next(broken, 2), RunError);
}

TEST(ModelStream, GoesOnFromACheckpointWithTheSameBits) {
  for (const char* method : {"qsgd", "powersgd", "random_k", "dgc", "sketched"}) {
    const Options options = server_options({{"compression.down", method}});
    std::shared_ptr<const Parameters> model = stream_model();
    ModelStream stream(options, *model->layout);
    for (Round round = 1; round <= 6; ++round) {
      stream.next(model, round);
      model = moved(*model, round);
    }
    CheckpointWriter writer;
    stream.save(writer);
    const ByteBuffer bytes = writer.encode();
    ModelStream resumed(options, *model->layout);
    resumed.restore(CheckpointReader(bytes, "checkpoint"));
    for (Round round = 7; round <= 9; ++round) {
      const auto one = stream.next(model, round), other = resumed.next(model, round);
      EXPECT_EQ(reference_of(resumed), reference_of(stream)) << method;
      EXPECT_EQ(checksum_of(one.difference->payload.bytes), checksum_of(other.difference->payload.bytes))
          << method;
      EXPECT_EQ(one.base, other.base);
      model = moved(*model, round);
    }
  }
}

// One value a message, of models of two.
Options one_value(Given keys) {
  keys.emplace("cohort.fraction", "1");
  keys.emplace("run.rounds", "100");
  keys.emplace("compression.down", "top_k");
  keys.emplace("compression.top_k.density", "0.5");
  keys.emplace("compression.min_size", "0");
  return server_options(keys);
}

// What is sent to whom: clients of differences, and of whole models.
struct Sent {
  std::vector<ClientId> differences, models;
};

Sent sent_in(const Actions& actions) {
  Sent sent;
  for (const Action& action : actions) {
    if (const auto* send = std::get_if<SendModel>(&action))
      std::ranges::copy(send->clients,
                        std::back_inserter(send->bases.empty() ? sent.models : sent.differences));
  }
  return sent;
}

const SendModel& first_of(const Actions& actions) { return std::get<SendModel>(actions.front()); }

TEST(Differences, GoToThoseWhoHoldTheModelBefore) {
  LockstepCoordinator coordinator(one_value({{"data.clients", "3"}}), model_of({0, 0}));
  const Sent first = sent_in(join_all(coordinator));
  EXPECT_THAT(first.models, ElementsAre(0, 1, 2));
  EXPECT_THAT(first.differences, IsEmpty());
  coordinator.arrived(update_of(0, 1, {4, 2}), 1);
  coordinator.dropped(1, 1, 1);
  coordinator.arrived(update_of(2, 1, {4, 2}), 1);
  const Actions second = coordinator.committed(std::nullopt, 1);
  EXPECT_THAT(sent_in(second).differences, ElementsAre(0, 2));
  EXPECT_THAT(sent_in(second).models, ElementsAre(1)) << "it may have given up before it had the model";
  EXPECT_THAT(values_of(std::get<SendModel>(second.at(1))), ElementsAre(4, 0))
      << "what the others make of theirs";
  EXPECT_THAT(coordinator.model()->values, ElementsAre(4, 2)) << "the server's own is exact";
  const ModelCodec codec(one_value({}), *coordinator.model()->layout);
  const std::vector<float> before{0, 0};
  std::vector<float> values(2);
  ASSERT_TRUE(
      codec.decode(first_of(second).model, first_of(second).base(), {before, mark_of(before)}, values));
  EXPECT_THAT(values, ElementsAre(4, 0));
}

TEST(Differences, WhoComesBackGetsTheModel) {
  LockstepCoordinator coordinator(one_value({{"data.clients", "2"}}), model_of({0, 0}));
  join_all(coordinator);
  coordinator.arrived(update_of(0, 1, {4, 2}), 1);
  coordinator.left(0, "gone", 1);  // its update counts, and what it held is lost
  coordinator.joined(0, 1);
  coordinator.arrived(update_of(1, 1, {4, 2}), 1);
  const Actions second = coordinator.committed(std::nullopt, 1);
  EXPECT_THAT(sent_in(second).differences, ElementsAre(1));
  EXPECT_THAT(sent_in(second).models, ElementsAre(0));
  coordinator.left(1, "gone", 2);
  const Actions again = coordinator.joined(1, 2);
  EXPECT_THAT(sent_in(again).models, ElementsAre(1)) << "within the round";
  EXPECT_EQ(values_of(first_of(again)), values_of(std::get<SendModel>(second.at(1))));
  coordinator.arrived(update_of(0, 2, {0, 0}), 2);
  coordinator.arrived(update_of(1, 2, {0, 0}), 2);
  EXPECT_THAT(sent_in(coordinator.committed(std::nullopt, 2)).differences, ElementsAre(0, 1));
  EXPECT_TRUE(coordinator.joined(0, 3).size() == 1) << "said anew, without having left";
  coordinator.arrived(update_of(0, 3, {0, 0}), 3);
  coordinator.joined(0, 3);
  coordinator.arrived(update_of(1, 3, {0, 0}), 3);
  EXPECT_THAT(sent_in(coordinator.committed(std::nullopt, 3)).models, ElementsAre(0));
}

TEST(Differences, WhoWasNotInTheLastCohortGetsTheModel) {
  LockstepCoordinator coordinator(one_value({{"data.clients", "6"}, {"cohort.fraction", "0.5"}}),
                                  model_of({0, 0}));
  Actions actions = join_all(coordinator);
  std::set<ClientId> last;
  int differences = 0, models = 0;
  for (Round round = 1; round <= 20; ++round) {
    const Sent sent = sent_in(actions);
    for (const ClientId client : sent.differences) EXPECT_TRUE(last.contains(client)) << round;
    for (const ClientId client : sent.models) EXPECT_FALSE(last.contains(client)) << round;
    differences += static_cast<int>(sent.differences.size());
    models += static_cast<int>(sent.models.size());
    last = {sent.differences.begin(), sent.differences.end()};
    last.insert(sent.models.begin(), sent.models.end());
    ASSERT_EQ(last.size(), 3U);
    for (const ClientId client : last) coordinator.arrived(update_of(client, round, {1, 1}), 1);
    actions = coordinator.committed(std::nullopt, 1);
  }
  EXPECT_GT(differences, 0);
  EXPECT_GT(models, 3);
}

TEST(Differences, WhoseWorkWasCalledOffGetsTheModel) {
  LockstepCoordinator coordinator(
      one_value({{"data.clients", "3"}, {"cohort.fraction", "0.67"}, {"sync.backup_workers", "1"}}),
      model_of({0, 0}));
  join_all(coordinator);
  coordinator.arrived(update_of(2, 1, {1, 1}), 1);
  coordinator.arrived(update_of(0, 1, {1, 1}), 1);
  coordinator.arrived(update_of(1, 1, {1, 1}), 1);  // too late
  const Sent second = sent_in(coordinator.committed(std::nullopt, 1));
  EXPECT_THAT(second.differences, ElementsAre(0, 2));
  EXPECT_THAT(second.models, ElementsAre(1));
}

TEST(Differences, ADeadlineIsGivenOnceARound) {
  LockstepCoordinator coordinator(one_value({{"data.clients", "2"}, {"cohort.deadline_s", "5"}}),
                                  model_of({0, 0}));
  join_all(coordinator);
  coordinator.arrived(update_of(0, 1, {1, 1}), 1);
  coordinator.deadline(1, 5);
  const Actions second = coordinator.committed(std::nullopt, 5);
  ASSERT_EQ(second.size(), 2U);
  EXPECT_EQ(std::get<SendModel>(second.at(0)).deadline, 10);
  EXPECT_EQ(std::get<SendModel>(second.at(1)).deadline, std::nullopt);
}

// Everybody is given the model after a resume, and it is the one that the others had made.
TEST(Differences, AResumedRunSendsTheSameModels) {
  const Options options = one_value({{"data.clients", "2"}});
  LockstepCoordinator straight(options, model_of({0, 0})), resumed(options, model_of({7, 7}));
  Actions actions = join_all(straight);
  const auto work = [](LockstepCoordinator& coordinator, Round round) {
    coordinator.arrived(update_of(0, round, {3, 2}), 1);
    coordinator.arrived(update_of(1, round, {3, 2}), 1);
  };
  for (Round round = 1; round <= 3; ++round) {
    work(straight, round);
    if (round < 3) straight.committed(std::nullopt, 1);
  }
  CheckpointWriter writer;
  straight.save(writer);
  const ByteBuffer bytes = writer.encode();
  resumed.restore(CheckpointReader(bytes, "checkpoint"));
  const Actions anew = join_all(resumed), went_on = straight.committed(std::nullopt, 1);
  EXPECT_THAT(sent_in(went_on).differences, ElementsAre(0, 1));
  EXPECT_THAT(sent_in(anew).models, ElementsAre(0, 1));
  straight.left(0, "gone", 1);
  EXPECT_EQ(values_of(first_of(anew)), values_of(first_of(straight.joined(0, 1))));
}

// An aggregator at the lower end of one stream.
TEST(Differences, AnAggregatorMakesAModelOfTheLastOne) {
  const Options options = one_value({{"topology.name", "tree"}, {"data.clients", "4"}});
  const TreePlan plan(4, tree_fanout(options));
  EdgeAggregator edge(options, plan, plan.aggregator(1), model_of({9, 9}));
  ModelStream parent(options, *edge.model()->layout);
  edge.joined(2, 0);
  edge.joined(3, 0);
  const auto answer = [&](Round round) {
    edge.arrived(update_of(2, round, {1, 0}), 1);
    edge.arrived(update_of(3, round, {1, 0}), 1);
  };
  auto broadcast = parent.next(model_of({1, 2}), 1);
  EXPECT_FALSE(edge.asked(1, broadcast.whole, 0, 77).ok()) << "it holds nothing";
  auto actions = edge.asked(1, broadcast.whole, 0);
  ASSERT_TRUE(actions.ok());
  EXPECT_THAT(values_of(first_of(actions.value())), ElementsAre(1, 2));
  answer(1);
  broadcast = parent.next(model_of({1, 8}), 2);
  EXPECT_FALSE(edge.asked(2, *broadcast.difference, 0, broadcast.base + 1).ok()) << "another model's";
  actions = edge.asked(2, *broadcast.difference, 0, broadcast.base);
  ASSERT_TRUE(actions.ok());
  // Its own children hold {1, 2}, and are sent a difference to that.
  EXPECT_THAT(sent_in(actions.value()).differences, ElementsAre(2, 3));
  EXPECT_THAT(edge.model()->values, ElementsAre(1, 8));
}

}  // namespace
}  // namespace gossamer

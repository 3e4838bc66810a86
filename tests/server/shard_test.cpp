// A server in several shards: bit by bit the model of a single one, in every sync mode and with every method
// of the server's, and the same checkpoints.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

#include "coordinator_support.h"
#include "core/error.h"
#include "server/shard.h"
#include "server/sharded_coordinator.h"
#include "tests/core/temporary_folder.h"

namespace gossamer {
namespace {

using ::testing::HasSubstr;
using Given = std::map<std::string, std::string>;

constexpr std::size_t kTrained = 29, kStatistics = 8;
constexpr std::int64_t kFour = 4;

// Statistics behind the trained floats, so that the last shard has some of either.
std::shared_ptr<const Parameters> model_with_statistics() {
  auto model = std::make_shared<Parameters>();
  model->layout = std::make_shared<const ParameterLayout>(std::vector<TensorSpec>{
      {"w", {kTrained}, 0, 0, TensorRole::parameter}, {"mean", {kStatistics}, 0, 0, TensorRole::buffer}});
  for (std::size_t i = 0; i < kTrained + kStatistics; ++i)
    model->values.push_back(0.1F * static_cast<float>(i) - 1);
  return model;
}

// What a client makes of a model: any numbers, but the same whenever it has the same bits.
FloatBuffer trained(ClientId client, Round round, const FloatBuffer& model) {
  FloatBuffer update(model.size());
  std::minstd_rand random(static_cast<unsigned>(1 + client * 1000 + round));
  for (std::size_t i = 0; i < model.size(); ++i)
    update[i] = 0.01F * model[i] + 1e-3F * static_cast<float>(random() % 2001) - 1;
  return update;
}

FloatBuffer floats_of(const Compressed& content) {
  FloatBuffer values(content.elements);
  std::memcpy(values.data(), content.payload.bytes.data(), values.size() * sizeof(float));
  return values;
}

Compressed compressed(const FloatBuffer& values) {
  const SharedFloats floats = SharedFloats::of(FloatBuffer(values));
  return {floats.size(), {floats.owner, std::as_bytes(floats.values)}};
}

// Drives a coordinator with clients that answer one by one, in an order that a seed says; some give up, leave
// and come back. Everything that happens depends on what the coordinator asks for alone.
class Crowd {
 public:
  Crowd(Coordination& coordinator, const ShardPlan& plan, unsigned seed)
      : coordinator_(coordinator), plan_(plan), random_(seed) {}

  // Until so many commits have been made, or the run ends.
  void run(Round commits) {
    until_ = commits;
    for (ClientId client = 0; client < coordinator_.population(); ++client)
      perform(coordinator_.joined(client, now_));
    go_on();
  }
  void go_on() {
    while (!over_ && coordinator_.version() < until_ && !work_.empty()) step();
  }
  std::int64_t updates() const { return updates_; }

 private:
  struct Asked {
    ClientId client;
    Round round;
    FloatBuffer model;
  };

  void step() {
    const std::size_t which = random_() % work_.size();
    const Asked asked = std::move(work_[which]);
    work_.erase(work_.begin() + static_cast<std::ptrdiff_t>(which));
    now_ += 1;
    switch (random_() % 16) {
      case 0:
        return perform(coordinator_.dropped(asked.client, asked.round, now_));
      case 1:  // its update is lost on the way, and it asks for the work again
        return perform(coordinator_.joined(asked.client, now_));
      case 2:
        perform(coordinator_.left(asked.client, "gone", now_));
        std::erase_if(work_, [&](const Asked& other) { return other.client == asked.client; });
        return perform(coordinator_.joined(asked.client, now_));
      case 3:  // says it twice
        answer(asked, true);
        return answer(asked, true);
      case 4:  // one of the last range's floats is no number
        return answer(asked, false);
      default:
        return answer(asked, true);
    }
  }

  void answer(const Asked& asked, bool well) {
    FloatBuffer values = trained(asked.client, asked.round, asked.model);
    if (!well) values.back() = std::numeric_limits<float>::quiet_NaN();
    CompressedUpdate update;
    update.info = {asked.client, asked.round, 1, 10.0 + static_cast<double>(asked.client), 0.5, 10};
    for (std::size_t s = 0; s < plan_.shards(); ++s) {
      const auto part = plan_.part(std::span<const float>(values), s);
      (s == 0 ? update.content : update.more.emplace_back()) =
          compressed(FloatBuffer(part.begin(), part.end()));
    }
    ++updates_;
    perform(coordinator_.arrived(update, now_));
  }

  void perform(const Actions& actions) {
    for (const Action& action : actions) {
      if (const auto* send = std::get_if<SendModel>(&action)) {
        FloatBuffer model = floats_of(send->model);
        for (const Compressed& range : send->more) {
          const FloatBuffer more = floats_of(range);
          model.insert(model.end(), more.begin(), more.end());
        }
        for (const ClientId client : send->clients) {
          std::erase_if(work_, [&](const Asked& old) { return old.client == client; });
          work_.push_back({client, send->round, model});
        }
      }
      if (std::holds_alternative<Finish>(action)) over_ = true;
      if (std::holds_alternative<Commit>(action)) {
        if (coordinator_.version() >= until_) return;
        return perform(coordinator_.committed(std::nullopt, now_));
      }
    }
  }

  Coordination& coordinator_;
  const ShardPlan& plan_;
  std::minstd_rand random_;
  std::vector<Asked> work_;
  Round until_ = 0;
  Seconds now_ = 0;
  bool over_ = false;
  std::int64_t updates_ = 0;
};

Options sharded(Given given, std::int64_t shards) {
  given.insert({{"run.rounds", "1000"}, {"cohort.fraction", "1"}});
  given["server.shards"] = std::to_string(shards);
  return server_options(given);
}

std::unique_ptr<Coordination> coordination(const Options& options) {
  if (options.integer("server.shards") > 1) return make_sharded_coordinator(options, model_with_statistics());
  return make_coordinator(options, model_with_statistics());
}

FloatBuffer model_after(const Given& given, std::int64_t shards, Round commits) {
  const Options options = sharded(given, shards);
  const auto coordinator = coordination(options);
  const ShardPlan plan(*model_with_statistics()->layout, shards);
  Crowd crowd(*coordinator, plan, 7);
  crowd.run(commits);
  EXPECT_EQ(coordinator->version(), commits);
  EXPECT_GE(crowd.updates(), commits);
  return coordinator->model()->values;
}

std::vector<Given> configurations() {
  std::vector<Given> all;
  for (const char* mode : {"bsp", "ssp", "async", "buffered"}) {
    for (const std::string& optimizer : server_optimizers().names())
      all.push_back({{"sync.mode", mode}, {"server.optimizer", optimizer}, {"server.lr", "0.3"}});
  }
  for (const char* mode : {"async", "buffered"}) {
    all.push_back(
        {{"sync.mode", mode}, {"sync.correction", "mixing"}, {"sync.staleness_weight", "polynomial"}});
    all.push_back({{"sync.mode", mode},
                   {"sync.correction", "delay_compensation"},
                   {"sync.correction.delay_compensation.adaptive", "true"}});
  }
  all.push_back({{"sync.mode", "bsp"}, {"cohort.size", "2"}, {"sync.backup_workers", "1"}});
  all.push_back({{"sync.mode", "bsp"}, {"cohort.min_size", "3"}, {"server.weighting", "uniform"}});
  all.push_back({{"sync.mode", "async"}, {"cohort.size", "2"}});
  return all;
}

std::string text_of(const Given& given) {
  std::string text;
  for (const auto& [key, value] : given) text += key + '=' + value + ' ';
  return text;
}

TEST(ShardPlan, DividesAllFloatsInOrder) {
  const auto model = model_with_statistics();
  for (std::int64_t shards = 1; shards <= 14; ++shards) {
    const ShardPlan plan(*model->layout, shards);
    std::size_t next = 0, trained_floats = 0;
    for (std::size_t s = 0; s < plan.shards(); ++s) {
      EXPECT_EQ(plan.range(s).begin, next);
      next += plan.range(s).size;
      trained_floats += plan.trained(s).size;
      const auto part = plan.part(*model, s);
      EXPECT_EQ(part->layout->size(), plan.range(s).size);
      EXPECT_EQ(part->layout->parameter_count(), plan.trained(s).size);
      EXPECT_TRUE(std::ranges::equal(part->values, plan.part(std::span<const float>(model->values), s)));
    }
    EXPECT_EQ(next, model->values.size());
    EXPECT_EQ(trained_floats, kTrained);
  }
  EXPECT_THROW(ShardPlan(*model->layout, 15), ConfigError);
}

TEST(Shards, MakeTheModelOfASingleServerBitByBit) {
  for (const Given& given : configurations()) {
    const FloatBuffer one = model_after(given, 1, 40);
    EXPECT_NE(one, model_with_statistics()->values) << text_of(given);
    for (const std::int64_t shards : {2, 3, 14})
      EXPECT_EQ(model_after(given, shards, 40), one) << text_of(given) << shards;
  }
}

// A run that was saved with some shards goes on with others as if nothing had happened.
TEST(Shards, ACheckpointFitsAnyNumberOfThem) {
  for (const Given& given : configurations()) {
    if (given.contains("sync.backup_workers")) continue;  // who is late is not saved
    FloatBuffer expected;
    for (const auto& [before, after] :
         std::vector<std::pair<std::int64_t, std::int64_t>>{{1, 1}, {3, 1}, {1, 3}, {2, kFour}}) {
      const Options first = sharded(given, before), second = sharded(given, after);
      const auto layout = model_with_statistics()->layout;
      const ShardPlan first_plan(*layout, before), second_plan(*layout, after);
      const auto saved = coordination(first);
      Crowd(*saved, first_plan, 3).run(20);
      ASSERT_TRUE(saved->can_save());
      CheckpointWriter writer;
      saved->save(writer);
      const ByteBuffer bytes = writer.encode();
      const auto resumed = coordination(second);
      resumed->restore(CheckpointReader(bytes, "checkpoint"));
      EXPECT_EQ(resumed->model()->values, saved->model()->values);
      Crowd(*resumed, second_plan, 4).run(40);
      EXPECT_EQ(resumed->version(), 40) << text_of(given);
      if (expected.empty()) expected = resumed->model()->values;
      EXPECT_EQ(resumed->model()->values, expected) << text_of(given) << before << " to " << after;
    }
  }
}

TEST(Shards, RefuseACheckpointOfAnotherModel) {
  const Options options = sharded({}, 2);
  CheckpointWriter writer;
  const FloatBuffer wrong(5, 0.0F);
  writer.add_pod("version", Round{3});
  writer.add_floats("model", wrong);
  writer.add_pod("moments", std::uint64_t{0});
  const ByteBuffer bytes = writer.encode();
  EXPECT_THROW(coordination(options)->restore(CheckpointReader(bytes, "checkpoint")), FileError);
}

class OneShard : public ::testing::Test {
 protected:
  using Kind = ShardOrder::Kind;

  void serve(ClientId client, Round round) { tell({Kind::serve, client, round, 0}); }
  void tell(const ShardOrder& order) {
    shard_.carry_out(order, {[this](const Shard::Model& model) { served_.push_back(floats_of(model.range)); },
                             [this](ShardSection section) { shown_.push_back(std::move(section)); }});
  }
  bool take(ClientId client, Round round, FloatBuffer values) {
    CompressedUpdate part;
    part.info.client = client;
    part.info.round = round;
    part.content = compressed(values);
    return shard_.take(part).has_value();
  }

  Options options_ = server_options({{"server.shards", "2"}});
  Shard shard_{options_, model_of({1, 2})};
  std::vector<FloatBuffer> served_;
  std::vector<ShardSection> shown_;
};

TEST_F(OneShard, KeepsOnlyWhatWasAskedFor) {
  EXPECT_FALSE(take(0, 1, {1, 1}));  // nobody asked
  EXPECT_THROW(tell({Kind::add, 0, 1, 1}), RunError);
  serve(0, 2);
  EXPECT_FALSE(take(0, 1, {1, 1}));  // of another round
  EXPECT_THROW(tell({Kind::add, 0, 2, 1}), RunError);
  EXPECT_TRUE(take(0, 2, {1, 1}));
  tell({Kind::forget, 0});
  EXPECT_THROW(tell({Kind::add, 0, 2, 1}), RunError);
  serve(0, 3);
  EXPECT_TRUE(take(0, 3, {1, 1}));
  tell({Kind::begin});
  EXPECT_THROW(tell({Kind::add, 0, 3, 1}), RunError);
  serve(0, 4);
  EXPECT_TRUE(take(0, 4, {1, 1}));
  tell({Kind::add, 0, 4, 1});
  EXPECT_THROW(tell({Kind::add, 0, 4, 1}), RunError);  // once
  tell({Kind::commit});
  EXPECT_EQ(shard_.model()->values, (FloatBuffer{2, 3}));
}

TEST_F(OneShard, SaysWhatIsNoPartOfItsRange) {
  serve(0, 1);
  EXPECT_FALSE(take(0, 1, {1, 1, 1}));
  EXPECT_FALSE(take(0, 1, {1}));
  EXPECT_FALSE(take(0, 1, {1, std::numeric_limits<float>::infinity()}));
}

TEST_F(OneShard, ServesTheVersionThatAClientIsAtWorkOnAgain) {
  serve(0, 1);
  serve(1, 1);
  EXPECT_TRUE(take(1, 1, {5, 5}));
  tell({Kind::add_stale, 1, 1, 1});
  tell({Kind::commit_over, 0, 0, 1});
  tell({Kind::serve_again, 0, 1, 0});
  serve(1, 2);
  EXPECT_THAT(served_, ::testing::ElementsAre(FloatBuffer{1, 2}, FloatBuffer{1, 2}, FloatBuffer{1, 2},
                                              FloatBuffer{6, 7}));
  tell({Kind::show_base, 0, 5, 0});
  tell({Kind::show_model});
  tell({Kind::show_end});
  ASSERT_EQ(shown_.size(), 3U);
  EXPECT_EQ(name_of(shown_[0]), "base 5");
  EXPECT_EQ(shown_[0].values, (FloatBuffer{1, 2}));
  EXPECT_EQ(shown_[1].values, (FloatBuffer{6, 7}));
  EXPECT_EQ(shown_[2].kind, ShardSection::Kind::end);
  EXPECT_THROW(tell({Kind::show_base, 7, 0, 0}), RunError);
}

}  // namespace
}  // namespace gossamer

// Peers that step together: the buckets of their gradients, and that they are one process with a larger
// batch.
#include <gmock/gmock.h>

#include <stdexcept>

#include "comms/collectives/in_process_link.h"
#include "sync_sgd_support.h"

namespace gossamer {
namespace {

using testing::expect_close;
using testing::Settings;
using testing::Together;
using testing::topology_named;

// Completes sums when it is told to, and doubles them: two peers that hold the same. Of what is gathered the
// other peer's shares stay as they are.
class ScriptedSum final : public AllReduce {
 public:
  Rank self() const noexcept override { return 0; }
  int world_size() const noexcept override { return 2; }
  void start(std::span<float> values) override {
    all.push_back(values);
    open_.push_back({values, true});
  }
  void start_gather(std::span<float> values, std::size_t share) override {
    gathered.emplace_back(values, share);
    open_.push_back({values, false});
  }
  Result<std::size_t> progress() override {
    if (fault) return *fault;
    for (; complete_ < open_.size() && (allowed > 0 || at_once); ++complete_) {
      for (float& value : open_[complete_].values) value *= open_[complete_].is_sum ? 2.0F : 1.0F;
      if (!at_once) --allowed;
    }
    return complete_;
  }
  Result<std::monostate> wait(std::size_t, Clock::time_point) override {
    throw std::logic_error("not asked");
  }
  Result<std::monostate> finish(Clock::time_point) override {
    if (complete_ < open_.size()) throw std::logic_error("finish() would wait");
    open_.clear();
    complete_ = 0;
    return std::monostate{};
  }

  std::vector<std::span<float>> all;  // sums that were ever started
  std::vector<std::pair<std::span<float>, std::size_t>> gathered;
  std::size_t allowed = 0;
  bool at_once = false;
  std::optional<Fault> fault;

 private:
  struct Open {
    std::span<float> values;
    bool is_sum;
  };
  std::vector<Open> open_;
  std::size_t complete_ = 0;
};

class Buckets : public ::testing::Test {
 protected:
  GradientExchange exchange_of(std::size_t bucket_floats) {
    return {sum_, *topology_, {bucket_floats}, [this](int) {
              ++waits_;
              ++sum_.allowed;
            }};
  }
  void open(GradientExchange& exchange, std::size_t count) {
    applied_.assign(count, 0);
    exchange.open(applied_, {[this] { steps_.emplace_back(); },
                             [this](std::size_t offset, std::span<const float> sum) {
                               steps_.back().emplace_back(offset, sum.size());
                               for (std::size_t i = 0; i < sum.size(); ++i) applied_[offset + i] += sum[i];
                             },
                             {}});
  }
  // Gradients of 1 + the parameter's number.
  static void give(GradientExchange& exchange, std::size_t offset, std::size_t count) {
    if (count == 0) return;
    const TensorSpec layer{"layer", {static_cast<std::int64_t>(count)}, offset, count, TensorRole::parameter};
    exchange.cut(layer, [&](std::size_t begin, std::span<float> values) {
      std::iota(values.begin(), values.end(), static_cast<float>(1 + offset + begin));
    });
  }

  const std::unique_ptr<Topology> topology_ = topology_named("ring");
  ScriptedSum sum_;
  std::vector<float> applied_;                                           // the sums, over all steps
  std::vector<std::vector<std::pair<std::size_t, std::size_t>>> steps_;  // what was applied, in order
  int waits_ = 0;
};

TEST_F(Buckets, HoldEveryParameterOnceFromTheLastToTheFirst) {
  Rng rng(1, Purpose::test);
  for (const std::size_t count : {1U, 63U, 64U, 65U, 1000U}) {
    for (const std::size_t bucket : {1U, 7U, 64U, 5000U}) {
      for (const bool at_once : {false, true}) {
        sum_.at_once = at_once;
        sum_.all.clear();
        steps_.clear();
        GradientExchange exchange = exchange_of(bucket);
        open(exchange, count);
        for (std::size_t step = 1; step <= 3; ++step) {
          exchange.before_use(0, count);
          // Layers of any size, some of them empty; what is ready has left.
          for (std::size_t from = count; from > 0;) {
            const std::size_t size = std::min<std::size_t>(from, rng.below(40));
            from -= size;
            give(exchange, from, size);
            std::size_t left = 0;
            for (const auto& values : sum_.all) left += values.size();
            ASSERT_EQ(left, step * count - from);
          }
        }
        exchange.close();
        ASSERT_EQ(steps_.size(), 3U);
        std::size_t sums = 0;
        for (const auto& step : steps_) {
          std::size_t end = count;
          for (const auto& [offset, size] : step) {
            ASSERT_EQ(offset + size, end);
            ASSERT_LE(size, bucket);
            ASSERT_EQ(sum_.all[sums++].size(), size);
            end = offset;
          }
          EXPECT_EQ(end, 0U);
        }
        EXPECT_EQ(sums, sum_.all.size());
        for (std::size_t i = 0; i < count; ++i) ASSERT_EQ(applied_[i], 3 * 2 * static_cast<float>(1 + i));
      }
    }
  }
}

TEST_F(Buckets, AreWaitedForOnlyWhereTheirParametersAreRead) {
  GradientExchange exchange = exchange_of(10);
  open(exchange, 50);
  exchange.before_use(0, 50);
  give(exchange, 0, 50);
  ASSERT_EQ(sum_.all.size(), 5U);
  ASSERT_EQ(steps_.size(), 1U);
  EXPECT_TRUE(steps_[0].empty());
  exchange.before_use(41, 9);  // the first bucket that was started
  EXPECT_EQ(steps_[0].size(), 1U);
  exchange.before_use(39, 1);
  EXPECT_EQ(steps_[0].size(), 2U);
  EXPECT_EQ(waits_, 2);
  exchange.before_use(39, 11);
  EXPECT_EQ(waits_, 2);
  // The next step begins when the last one has been applied.
  give(exchange, 30, 20);
  ASSERT_EQ(steps_.size(), 2U);
  EXPECT_EQ(steps_[0].size(), 5U);
  give(exchange, 0, 30);
  exchange.close();
  EXPECT_EQ(steps_[1].size(), 5U);
}

TEST_F(Buckets, EndBetweenRows) {
  sum_.at_once = true;
  GradientExchange exchange = exchange_of(10);
  open(exchange, 62);
  exchange.before_use(0, 62);
  const auto zeros = [](std::size_t, std::span<float> values) { std::ranges::fill(values, 0.0F); };
  exchange.cut({"weight", {2, 11}, 40, 22, TensorRole::parameter}, zeros);  // a row is longer than a part
  exchange.cut({"weight", {10, 4}, 0, 40, TensorRole::parameter}, zeros);
  exchange.close();
  EXPECT_EQ(steps_[0], (std::vector<std::pair<std::size_t, std::size_t>>{
                           {60, 2}, {50, 10}, {40, 10}, {32, 8}, {24, 8}, {16, 8}, {8, 8}, {0, 8}}));
}

TEST_F(Buckets, UseTheMemoryAgainThatWasFreeLast) {
  sum_.at_once = true;
  GradientExchange exchange = exchange_of(10);
  open(exchange, 1000);
  exchange.before_use(0, 1000);
  give(exchange, 0, 1000);
  exchange.close();
  for (const auto& values : sum_.all) EXPECT_EQ(values.data(), sum_.all[0].data());
}

TEST_F(Buckets, ComeInOneOrder) {
  GradientExchange exchange = exchange_of(10);
  open(exchange, 50);
  EXPECT_THROW(exchange.part(30, 10), std::logic_error);
  EXPECT_THROW(exchange.part(39, 11), std::logic_error);
  give(exchange, 30, 20);
  EXPECT_THROW(exchange.part(30, 10), std::logic_error);
  EXPECT_THROW(exchange.close(), std::logic_error);
}

TEST_F(Buckets, CountTheirBytesAndSumsInBetween) {
  sum_.at_once = true;
  GradientExchange exchange = exchange_of(16);
  std::vector<float> values{1, 2, 3};
  exchange.sum(values);
  EXPECT_EQ(values, (std::vector<float>{2, 4, 6}));
  open(exchange, 100);
  exchange.before_use(0, 100);
  give(exchange, 0, 100);
  exchange.close();
  const ExchangeBytes bytes = exchange.take_bytes();
  EXPECT_EQ(bytes.sent, 103U * 4);
  EXPECT_EQ(bytes.received, 103U * 4);
  EXPECT_EQ(exchange.take_bytes().sent, 0U);
}

TEST_F(Buckets, CarryFactorsWhereTheseAreShorter) {
  sum_.at_once = true;
  GradientExchange exchange(sum_, *topology_, {100, {.peers = 2, .batch = 2, .shortest = true}}, [](int) {});
  const TensorSpec wide{"wide", {20, 10}, 30, 200, TensorRole::parameter};
  const TensorSpec narrow{"narrow", {3, 10}, 0, 30, TensorRole::parameter};  // 4 x (3 + 10) is more than 30
  std::vector<float> parameters(230);
  int multiplied = 0;
  exchange.open(parameters, {[] {}, [](std::size_t, std::span<const float>) {},
                             [&](const GradientExchange::Product& product) {
                               ++multiplied;
                               EXPECT_EQ(product.weight.offset, 30U);
                               EXPECT_EQ(product.row, 0U);
                               EXPECT_EQ(product.rows, 20U);
                               // This peer is the first of two.
                               ASSERT_EQ(product.factors.size(), 4U * 30);
                               for (std::size_t i = 0; i < 60; ++i)
                                 EXPECT_EQ(product.factors[i], i < 30 ? 1 : 0);
                             }});
  for (int step = 1; step <= 2; ++step) {
    exchange.before_use(0, 230);
    const std::span<float> factors = exchange.factors(wide);
    ASSERT_EQ(factors.size(), 2U * 30);
    for (const float value : factors) EXPECT_EQ(value, 0);  // whatever the last step left
    std::ranges::fill(factors.first(30), 1.0F);
    exchange.leave();
    EXPECT_EQ(sum_.gathered.back().first.size(), 4U * 30);
    EXPECT_EQ(sum_.gathered.back().second, 2U * 30);
    EXPECT_EQ(multiplied, step);
    EXPECT_THROW(exchange.factors(wide), std::logic_error) << "not the next of the parameters";
    EXPECT_TRUE(exchange.factors(narrow).empty());
    give(exchange, 0, 30);
  }
  exchange.close();
}

TEST_F(Buckets, CarryRowsThatOnePeerHasMade) {
  GradientExchange exchange(sum_, *topology_, {5, {.peers = 2, .batch = 2}}, [this](int) { ++sum_.allowed; });
  const TensorSpec weight{"weight", {25, 20}, 7, 500, TensorRole::parameter};
  std::vector<float> parameters(507);
  std::vector<std::pair<std::size_t, std::size_t>> rows;
  exchange.open(parameters, {[] {}, [](std::size_t, std::span<const float>) {},
                             [&](const GradientExchange::Product& product) {
                               EXPECT_EQ(product.factors.size(), 4U * 45);
                               rows.emplace_back(product.row, product.rows);
                             }});
  exchange.before_use(0, 507);
  ASSERT_FALSE(exchange.factors(weight).empty());
  exchange.leave();
  EXPECT_TRUE(rows.empty());  // first of all what the backward pass still has to give
  give(exchange, 0, 7);
  // The first of two peers: two rows of every four, and of the last one.
  EXPECT_EQ(rows, (std::vector<std::pair<std::size_t, std::size_t>>{
                      {0, 2}, {4, 2}, {8, 2}, {12, 2}, {16, 2}, {20, 2}, {24, 1}}));
  ASSERT_EQ(sum_.gathered.size(), 1U + 7);
  const float* next = parameters.data() + 7;
  for (std::size_t i = 1; i < sum_.gathered.size(); ++i) {
    const auto& [values, share] = sum_.gathered[i];
    EXPECT_EQ(values.data(), next);
    EXPECT_EQ(values.size(), i < 7 ? 80U : 20U);
    EXPECT_EQ(share, 40U);
    next += values.size();
  }
  sum_.allowed = 0;
  exchange.before_use(0, 7);  // may be read before the rows are here
  EXPECT_EQ(sum_.allowed, 0U);
  exchange.before_use(7 + 24 * 20, 1);
  exchange.close();
}

TEST_F(Buckets, EndWithAPeersFault) {
  GradientExchange exchange = exchange_of(16);
  open(exchange, 100);
  exchange.before_use(0, 100);
  give(exchange, 40, 60);
  sum_.fault = Fault{FaultKind::disconnected, "rank 1 was lost", 1};
  try {
    give(exchange, 0, 40);
    ADD_FAILURE() << "went on";
  } catch (const ExchangeBroken& broken) {
    EXPECT_EQ(broken.fault().peer, 1);
  }
}

struct TogetherCase {
  std::string name, topology;
  Together together;
};

class SyncSgd : public ::testing::TestWithParam<TogetherCase> {};

TEST_P(SyncSgd, IsOneProcessWithAllBatches) {
  const auto& [name, topology_name, together] = GetParam();
  const auto topology = topology_named(topology_name);
  const auto peers = static_cast<int>(together.sizes.size());
  std::vector<Update> updates(together.sizes.size());
  {
    std::vector<std::jthread> threads;
    for (auto& link : make_in_process_links(*topology, peers)) {
      threads.emplace_back([&, held = std::move(link)]() mutable {
        const auto all_reduce = make_all_reduce(*topology, std::move(held));
        updates[static_cast<std::size_t>(all_reduce->self())] =
            together.train_peer(*all_reduce, *topology, 3000);
      });
    }
  }
  const Update alone = together.train_alone();
  for (const Update& update : updates) {
    expect_close(update.values, alone.values);
    EXPECT_EQ(update.values, updates[0].values);
  }
}

const Settings kMlp{{"model.name", "mlp"}, {"client.lr", "0.1"}};

INSTANTIATE_TEST_SUITE_P(
    Peers, SyncSgd,
    ::testing::Values(
        TogetherCase{"one", "ring", {{12}, kMlp}}, TogetherCase{"two", "ring", {{12, 12}, kMlp}},
        TogetherCase{"three", "ring", {{8, 8, 8}, kMlp}}, TogetherCase{"uneven", "ring", {{3, 11, 0}, kMlp}},
        TogetherCase{"all_to_all", "all_to_all", {{5, 9, 7}, kMlp}},
        TogetherCase{"cnn", "ring", {{6, 6}, {{"model.name", "cnn"}, {"client.lr", "0.05"}}}},
        TogetherCase{"by_autograd",
                     "ring",
                     {{6, 6}, {{"model.name", "mlp"}, {"model.loss", "nll"}, {"client.lr", "0.01"}}}},
        TogetherCase{"factors", "ring", {{4, 4}, kMlp, "shorter", 4}},
        TogetherCase{"factors_all_to_all", "all_to_all", {{3, 3, 2}, kMlp, "shorter", 3}},
        TogetherCase{"factors_uneven", "ring", {{2, 5, 0}, kMlp, "shorter", 5}},
        TogetherCase{
            "factors_cnn", "ring", {{6, 6}, {{"model.name", "cnn"}, {"client.lr", "0.05"}}, "shorter", 6}},
        TogetherCase{"factors_momentum",
                     "ring",
                     {{7, 5},
                      {{"model.name", "mlp"},
                       {"client.momentum", "0.9"},
                       {"client.weight_decay", "0.01"},
                       {"client.lr", "0.05"}},
                      "shorter",
                      7}},
        TogetherCase{"rows", "ring", {{12, 12}, kMlp, "auto", 12}},
        TogetherCase{"rows_uneven", "ring", {{3, 11, 0}, kMlp, "auto", 11}},
        TogetherCase{"rows_all_to_all", "all_to_all", {{5, 9, 7}, kMlp, "auto", 9}},
        TogetherCase{
            "rows_cnn", "ring", {{40, 40}, {{"model.name", "cnn"}, {"client.lr", "0.05"}}, "auto", 40}},
        TogetherCase{"rows_momentum",
                     "ring",
                     {{12, 9},
                      {{"model.name", "mlp"},
                       {"client.momentum", "0.9"},
                       {"client.weight_decay", "0.01"},
                       {"client.lr", "0.05"}},
                      "auto",
                      12}},
        TogetherCase{"in_parts", "ring", {{1200, 300}, kMlp}},
        TogetherCase{"momentum",
                     "all_to_all",
                     {{7, 5},
                      {{"model.name", "mlp"},
                       {"client.momentum", "0.9"},
                       {"client.weight_decay", "0.01"},
                       {"client.lr", "0.05"}}}}),
    [](const auto& tested) { return tested.param.name; });

TEST(FactorRule, ChoosesByHowManyExamplesThereAre) {
  const auto way = [](std::size_t peers, std::size_t batch, bool shortest) {
    return FactorRule{peers, batch, shortest}.way_of(
        {"w", {512, 3136}, 0, 512 * 3136, TensorRole::parameter});
  };
  EXPECT_EQ(way(2, 10, false), DenseWay::factors);
  EXPECT_EQ(way(2, 64, false), DenseWay::rows);
  EXPECT_EQ(way(4, 64, false), DenseWay::gradient);  // the factors are more than half of it
  EXPECT_EQ(way(4, 64, true), DenseWay::factors);
  EXPECT_EQ(way(8, 64, true), DenseWay::gradient);
  EXPECT_EQ(way(2, 0, true), DenseWay::gradient);
  EXPECT_EQ((FactorRule{2, 10, true}.way_of({"b", {512}, 0, 512, TensorRole::parameter})),
            DenseWay::gradient);
}

TEST(SyncSgdPresets, LeaveNothingThatActsOnARoundsUpdate) {
  EXPECT_EQ(testing::make_options({{"algorithm.name", "sync_sgd"}}).integer("client.local_steps"), 10);
  EXPECT_THROW(testing::make_options({{"algorithm.name", "sync_sgd"}, {"client.local_steps", "0"}}),
               ConfigError);
  EXPECT_THROW(testing::make_options({{"algorithm.name", "sync_sgd"}, {"compression.up", "some"}}),
               ConfigError);
}

}  // namespace
}  // namespace gossamer

#include <gtest/gtest.h>
#include <torch/torch.h>

#include <cmath>

#include "core/error.h"
#include "support.h"

namespace gossamer {
namespace {

using testing::make_options;
using testing::quadratic;
using testing::Quadratic;
using Given = std::vector<std::pair<std::string, std::string>>;

// A centre and its clients, each with one quadratic a_i (x - b_i)^2 / 2; the server's part is
// centre += server.lr * mean(updates).
struct Elastic {
  Options options;
  std::unique_ptr<LocalTrainer> trainer;
  std::vector<std::shared_ptr<const ExampleSet>> examples;
  std::vector<TrainingState> states;
  float centre = 0;
  Round round = 0;

  Elastic(Given given, const std::vector<std::pair<float, float>>& clients)
      : options(make_options(with(given, clients))) {
    trainer = algorithms().make(options)->make_trainer(options, std::make_unique<Quadratic>(0.0F));
    for (const auto& [a, b] : clients) examples.push_back(quadratic(a, b));
    states.resize(clients.size());
  }
  static Given with(Given given, const std::vector<std::pair<float, float>>& clients) {
    given.emplace_back("data.clients", std::to_string(clients.size()));
    return given;
  }

  void run() {
    ++round;
    double mean = 0;
    for (std::size_t i = 0; i < states.size(); ++i) {
      mean +=
          trainer->train({&centre, 1}, {static_cast<ClientId>(i), round, examples[i], &states[i]}).values[0];
    }
    mean /= static_cast<double>(states.size());
    centre += static_cast<float>(options.real("server.lr") * mean);
  }
  // Rounds that begin with clients away from the centre.
  void scatter(const std::vector<float>& x) {
    run();
    for (std::size_t i = 0; i < x.size(); ++i) states[i][0][0] = x[i];
  }
  float x(std::size_t i) const { return states[i][0][0]; }
};

const std::vector<std::pair<float, float>> kFlat{{0, 0}, {0, 0}, {0, 0}};

class ElasticMethods : public ::testing::TestWithParam<std::string> {
 protected:
  Given method(Given more = {}) const {
    more.emplace_back("algorithm.name", GetParam());
    return more;
  }
  std::string key(const std::string& name) const { return "algorithm." + GetParam() + '.' + name; }
};
INSTANTIATE_TEST_SUITE_P(Both, ElasticMethods, ::testing::Values("easgd", "eamsgd"),
                         [](const auto& method) { return method.param; });

TEST_P(ElasticMethods, ConserveTheSumWithoutGradients) {
  Elastic elastic(method(), kFlat);
  elastic.scatter({1, -2, 4});
  const double before = elastic.centre + 1.0 - 2.0 + 4.0;
  for (int round = 0; round < 20; ++round) {
    elastic.run();
    EXPECT_NEAR(elastic.centre + elastic.x(0) + elastic.x(1) + elastic.x(2), before, 2e-6);
  }
  // Everyone is drawn together, to the mean of the four.
  EXPECT_NEAR(elastic.centre, before / 4, 0.05);
}

TEST_P(ElasticMethods, SwapWithAlphaOneAndMeetWithAlphaOneHalf) {
  Elastic swap(method({{key("alpha"), "1"}}), {{0, 0}});
  swap.scatter({5});
  swap.centre = 2;
  swap.run();
  EXPECT_EQ(swap.centre, 5);
  EXPECT_EQ(swap.x(0), 2);

  Elastic meet(method({{key("alpha"), "0.5"}}), {{0, 0}});
  meet.scatter({5});
  meet.centre = 2;
  meet.run();
  EXPECT_EQ(meet.centre, 3.5F);
  EXPECT_EQ(meet.x(0), 3.5F);
}

TEST_P(ElasticMethods, StartAtTheCentreAndReturnTheOffsetFromBeforeTheWork) {
  Elastic elastic(method(), {{1, 3}, {2, -1}});
  elastic.centre = 0.5F;
  elastic.run();
  EXPECT_EQ(elastic.centre, 0.5F);  // all offsets were 0
  const double x0 = elastic.x(0), x1 = elastic.x(1);
  EXPECT_GT(x0, 0.6);
  EXPECT_LT(x1, 0.4);
  elastic.run();
  EXPECT_NEAR(elastic.centre, 0.5 + 0.9 / 2 * ((x0 - 0.5) + (x1 - 0.5)), 1e-6);
}

TEST_P(ElasticMethods, AlmostAlphaZeroIsIndependentTraining) {
  // Two clients that are nearly free end where each would alone.
  Elastic elastic(method({{key("alpha"), "1e-12"}, {"client.local_steps", "20"}}), {{1, 3}, {1, -1}});
  Elastic first(method({{key("alpha"), "1e-12"}, {"client.local_steps", "20"}}), {{1, 3}});
  for (int round = 0; round < 5; ++round) {
    elastic.run();
    first.run();
  }
  EXPECT_EQ(elastic.x(0), first.x(0));
  EXPECT_NEAR(elastic.centre, 0, 1e-9);
}

TEST_P(ElasticMethods, RefuseWhatTheyCannotMean) {
  EXPECT_THROW(make_options(method({{key("alpha"), "0.6"}, {"data.clients", "2"}})), ConfigError);
  EXPECT_THROW(make_options(method({{"client.optimizer", "adam"}})), ConfigError);
  EXPECT_THROW(make_options(method({{"client.momentum", "0.9"}})), ConfigError);
  EXPECT_THROW(make_options(method({{"server.lr", "1"}})), ConfigError);
  EXPECT_THROW(make_options(method({{"cohort.fraction", "0.1"}})), ConfigError);
  const Options options = make_options(method({{"data.clients", "6"}}));
  EXPECT_EQ(options.real("server.lr"), 0.9);
  EXPECT_EQ(options.text("server.weighting"), "uniform");
  EXPECT_EQ(make_options(method({{key("alpha"), "0.15"}, {"data.clients", "6"}})).real("server.lr"),
            0.15 * 6);
}

TEST_P(ElasticMethods, RefuseAStateThatDoesNotFit) {
  Elastic elastic(method(), {{1, 3}});
  elastic.states[0] = {FloatBuffer(7), FloatBuffer(7)};
  EXPECT_THROW(elastic.run(), FileError);
}

// The rule written out in double precision: the gradient at the x before the pull, then the pull.
TEST(Easgd, FollowsItsRule) {
  const std::vector<std::pair<float, float>> clients{{1, 0}, {4, 1}};
  Elastic elastic({{"algorithm.name", "easgd"}, {"client.local_steps", "3"}}, clients);
  elastic.centre = 3;
  const double lr = 0.1, alpha = 0.45;
  double centre = 3;
  std::vector<double> x{3, 3};
  for (int round = 0; round < 12; ++round) {
    elastic.run();
    double pulled = 0;
    for (std::size_t i = 0; i < x.size(); ++i) {
      const double offset = x[i] - centre;
      pulled += offset;
      for (int step = 0; step < 3; ++step) {
        x[i] -= lr * clients[i].first * (x[i] - clients[i].second);
        if (step == 0) x[i] -= alpha * offset;
      }
    }
    centre += alpha * pulled;
    EXPECT_NEAR(elastic.centre, centre, 2e-6);
    for (std::size_t i = 0; i < x.size(); ++i) EXPECT_NEAR(elastic.x(i), x[i], 2e-6);
  }
}

TEST(Eamsgd, FollowsItsRule) {
  const std::vector<std::pair<float, float>> clients{{1, 0}, {4, 1}};
  Elastic elastic({{"algorithm.name", "eamsgd"},
                   {"algorithm.eamsgd.momentum", "0.8"},
                   {"client.local_steps", "3"},
                   {"client.lr", "0.05"},
                   {"client.weight_decay", "0.02"}},
                  clients);
  elastic.centre = 3;
  const double lr = 0.05, alpha = 0.45, momentum = 0.8, decay = 0.02;
  double centre = 3;
  std::vector<double> x{3, 3}, v{0, 0};
  for (int round = 0; round < 12; ++round) {
    elastic.run();
    double pulled = 0;
    for (std::size_t i = 0; i < x.size(); ++i) {
      const double offset = x[i] - centre;
      pulled += offset;
      for (int step = 0; step < 3; ++step) {
        const double ahead = x[i] + momentum * v[i];
        v[i] = momentum * v[i] - lr * (clients[i].first * (ahead - clients[i].second) + decay * ahead);
        x[i] += v[i];
        if (step == 0) x[i] -= alpha * offset;
      }
    }
    centre += alpha * pulled;
    EXPECT_NEAR(elastic.centre, centre, 5e-6);
    for (std::size_t i = 0; i < x.size(); ++i) EXPECT_NEAR(elastic.x(i), x[i], 5e-6);
  }
}

// Asynchronous: the client answers with alpha (x_i - centre) at once, and that is what it gives up in its
// next training, of which the first gradient is taken at the x_i before.
TEST_P(ElasticMethods, ExchangeFirstAndTrainOnAfterwards) {
  const Options options = make_options(method({{"sync.mode", "async"}, {"client.local_steps", "3"}}));
  EXPECT_EQ(options.text("sync.pull"), "on_request");
  EXPECT_EQ(options.real("server.lr"), 1);
  const auto trainer = algorithms().make(options)->make_trainer(options, std::make_unique<Quadratic>(0.0F));
  const auto examples = quadratic(2, 1);
  const double lr = 0.1, alpha = 0.45, a = 2, b = 1;
  const double momentum = GetParam() == "eamsgd" ? 0.99 : 0;
  TrainingState state;
  double x = 4, v = 0, said = 0;
  for (Round round = 1; round <= 6; ++round) {
    const float centre = 4.0F - 0.5F * static_cast<float>(round - 1);
    const TrainTask task{0, round, examples, &state};
    const Update update = trainer->train({&centre, 1}, task);
    const double pull = alpha * (x - centre);
    EXPECT_NEAR(update.values[0], pull, 1e-5);
    EXPECT_EQ(update.info.samples, round == 1 ? 0 : 3);
    EXPECT_NEAR(update.info.train_loss, said, 1e-4);
    EXPECT_NEAR(state[0][0], x, 1e-5) << "not before it trains";
    trainer->go_on(task);
    said = 0;
    for (int step = 0; step < 3; ++step) {
      const double ahead = x + momentum * v;
      said += a * (ahead - b) * (ahead - b) / 2 / 3;
      v = momentum * v - lr * a * (ahead - b);
      x += v;
      if (step == 0) x -= pull;
    }
    EXPECT_NEAR(state[0][0], x, 1e-4);
  }
}

TEST_P(ElasticMethods, AnAsynchronousExchangeConservesTheSum) {
  const Options options = make_options(method({{"sync.mode", "async"}, {"client.local_steps", "1"}}));
  const auto trainer = algorithms().make(options)->make_trainer(options, std::make_unique<Quadratic>(0.0F));
  const auto flat = quadratic(0, 0);
  TrainingState state;
  float centre = 2;
  const auto exchange = [&](Round round) {
    const TrainTask task{0, round, flat, &state};
    centre += trainer->train({&centre, 1}, task).values[0];
    trainer->go_on(task);
  };
  exchange(1);
  state[0][0] = 7;
  for (Round round = 2; round < 20; ++round) {
    exchange(round);
    EXPECT_NEAR(centre + state[0][0], 9, 2e-6);
  }
  EXPECT_NEAR(centre, 4.5, 1e-5);
}

TEST_P(ElasticMethods, AsynchronouslyRefuseAnotherPull) {
  EXPECT_THROW(make_options(method({{"sync.mode", "async"}, {"sync.pull", "with_work"}})), ConfigError);
  EXPECT_THROW(make_options(method({{"sync.mode", "async"}, {"server.lr", "0.9"}})), ConfigError);
  EXPECT_THROW(make_options(method({{"sync.mode", "async"}, {"sync.correction", "mixing"}})), ConfigError);
}

}  // namespace
}  // namespace gossamer

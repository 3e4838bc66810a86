// privacy.placement = example: what clients' training releases.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "client/trainers/local_work.h"
#include "core/logging.h"
#include "privacy/clip.h"
#include "privacy/noise/noise.h"
#include "privacy/privacy_ledger.h"
#include "support.h"

namespace gossamer {
namespace {

using testing::MemorySet;
using testing::patterns;
using Keys = std::vector<std::pair<std::string, std::string>>;
using Examples = std::shared_ptr<const ExampleSet>;

const ExampleShape kShape{FeatureKind::reals, {1, 28, 28}, 1, 10};

Options private_options(Keys keys, double examples_a_client) {
  const Keys common{{"privacy.mechanism", "gaussian"},
                    {"privacy.placement", "example"},
                    {"privacy.clip_norm", "1"},
                    {"privacy.noise_multiplier", "1"},
                    {"privacy.insecure_seed", "7"}};
  Keys all = common;
  all.insert(all.end(), keys.begin(), keys.end());  // later ones win
  Options options = testing::make_options(all);
  settle_lots(options, examples_a_client);
  return options;
}

// No noise, no bound, everybody in each lot.
const Keys kPlain{{"privacy.noise_multiplier", "0"}, {"privacy.clip_norm", "inf"}};

Keys operator+(Keys left, const Keys& right) {
  left.insert(left.end(), right.begin(), right.end());
  return left;
}

// A trainer of the options' algorithm, and a start.
struct Site {
  explicit Site(const Options& options) {
    auto model = make_model(options, kShape);
    parameters = model->layout()->parameter_count();
    layers = layer_ends(*model->layout());
    start.assign(model->values().begin(), model->values().end());
    trainer = algorithms().make(options)->make_trainer(options, std::move(model));
  }
  std::vector<float> train(const Examples& examples, Round round = 0, ClientId client = 0) {
    return train(std::span<const float>(start), examples, round, client);
  }
  std::vector<float> train(std::span<const float> from, const Examples& examples, Round round = 0,
                           ClientId client = 0) {
    TrainTask task;
    task.client = client;
    task.round = round;
    task.examples = examples;
    task.state = &state;
    const Update update = trainer->train(from, task);
    info = update.info;
    return {update.values.begin(), update.values.end()};
  }

  std::size_t parameters = 0;
  std::vector<std::size_t> layers;
  std::vector<float> start;
  std::unique_ptr<LocalTrainer> trainer;
  TrainingState state;
  UpdateInfo info;
};

std::vector<float> train(const Options& options, const Examples& examples, Round round = 0) {
  return Site(options).train(examples, round);
}

Examples nobody() {
  return std::make_shared<MemorySet>(kShape, std::vector<float>{}, std::vector<std::int64_t>{});
}

// The same examples, those at `indices` one after another.
Examples choose(const Examples& from, const std::vector<std::int64_t>& indices) {
  std::vector<float> features(indices.size() * static_cast<std::size_t>(kShape.feature_count()));
  std::vector<std::int64_t> labels(indices.size());
  from->gather(indices, features.data(), labels.data());
  return std::make_shared<MemorySet>(kShape, features, labels);
}

double norm_of(std::span<const float> values) { return norm_for(NoiseKind::gaussian, values); }

std::vector<float> minus(const std::vector<float>& a, const std::vector<float>& b, float factor = 1) {
  std::vector<float> difference(a);
  for (std::size_t i = 0; i < a.size(); ++i) difference[i] -= factor * b[i];
  return difference;
}

// Within 1e-6 of the weights, which are floats: a sum of single gradients is rounded otherwise than the
// gradient of their mean. The model moves by some hundredths of its weights.
TEST(PrivateWork, WithoutNoiseAndBoundIsFullBatchSgd) {
  const Examples examples = patterns(60, 4);
  for (const char* model : {"mlp", "lenet"}) {
    const Keys keys{{"model.name", model}, {"client.batch_size", "0"}, {"client.local_epochs", "2"}};
    Site plain(testing::make_options(keys)), lots(private_options(keys + kPlain, 60));
    std::vector<float> a = plain.start, b = plain.start;
    for (Round round = 0; round < 4; ++round) {
      const auto move = [&](Site& site, std::vector<float>& w) {
        const std::vector<float> update = site.train(w, examples, round);
        for (std::size_t i = 0; i < w.size(); ++i) w[i] += update[i];
      };
      move(plain, a);
      move(lots, b);
    }
    EXPECT_LE(norm_of(minus(a, b)), 1e-6 * norm_of(a)) << model;
    EXPECT_GE(norm_of(minus(a, plain.start)), 0.01 * norm_of(a)) << model;
  }
}

TEST(PrivateWork, NoiseHasItsDeviationAndComesToAClientWithoutExamplesToo) {
  const Keys keys{{"model.name", "mlp"},         {"client.lr", "0.5"},
                  {"client.batch_size", "20"},   {"client.local_steps", "1"},
                  {"privacy.clip_norm", "0.25"}, {"privacy.noise_multiplier", "3"}};
  const std::vector<float> update = train(private_options(keys, 20), nobody());
  ASSERT_GE(update.size(), 100'000U);
  const double deviation = 0.5 * 3 * 0.25 / 20;
  double sum = 0, squares = 0;
  for (const float value : update) {
    sum += static_cast<double>(value);
    squares += static_cast<double>(value) * static_cast<double>(value);
  }
  const auto n = static_cast<double>(update.size());
  EXPECT_NEAR(std::sqrt(squares / n), deviation, 0.01 * deviation);
  EXPECT_NEAR(sum / n, 0, 5 * deviation / std::sqrt(n));
}

TEST(PrivateWork, OneExampleMovesALotByTheClipNormAtMost) {
  std::vector<float> loud(784, 300.0F);
  std::vector<float> features;
  const Examples quiet = patterns(20, 4);
  std::vector<std::int64_t> all(20), labels(20);
  std::iota(all.begin(), all.end(), 0);
  features.resize(20 * 784);
  quiet->gather(all, features.data(), labels.data());
  features.insert(features.end(), loud.begin(), loud.end());
  labels.push_back(3);
  const Examples with = std::make_shared<MemorySet>(kShape, features, labels);
  for (const char* clipping : {"flat", "per_layer"}) {
    const Keys keys{{"client.local_steps", "1"},       {"client.lr", "1"},
                    {"privacy.clip_norm", "2"},        {"privacy.sampling_rate", "1"},
                    {"privacy.noise_multiplier", "0"}, {"privacy.lot_size", "1"},
                    {"privacy.clipping", clipping},    {"model.name", "mlp"}};
    Site site(private_options(keys, 20));
    const std::vector<float> moved = minus(site.train(with), site.train(quiet));
    EXPECT_LE(norm_of(moved), 2 * (1 + 1e-5)) << clipping;
    EXPECT_GE(norm_of(moved), clipping == std::string("flat") ? 1.999 : 0.5) << clipping;
    if (clipping == std::string("flat")) continue;
    std::size_t begin = 0;
    for (const std::size_t end : site.layers) {
      EXPECT_LE(norm_of(std::span(moved).subspan(begin, end - begin)),
                2 / std::sqrt(static_cast<double>(site.layers.size())) * (1 + 1e-5));
      begin = end;
    }
  }
}

TEST(PrivateWork, TheSumIsDividedByTheNominalSizeWhateverTheLotHas) {
  const Examples once = patterns(10, 4);
  std::vector<std::int64_t> indices;
  for (std::int64_t i = 0; i < 10; ++i) indices.insert(indices.end(), {i, i});
  const Keys keys = kPlain + Keys{{"model.name", "mlp"},
                                  {"client.local_steps", "1"},
                                  {"client.batch_size", "15"},
                                  {"privacy.sampling_rate", "1"}};
  Site site(private_options(keys, 15));
  const std::vector<float> half = site.train(once), whole = site.train(choose(once, indices));
  EXPECT_LE(norm_of(minus(whole, half, 2)), 1e-6 * norm_of(site.start));  // what is released are differences
  EXPECT_GE(norm_of(half), 1e-3 * norm_of(site.start));
}

TEST(PrivateWork, EveryClientMakesTheSteps) {
  const auto steps = [](const Keys& keys, const Examples& examples, std::int64_t asked = 0) {
    const Options options = private_options(keys, 40);
    LocalWork work(options, make_model(options, kShape));
    TrainTask task;
    task.examples = examples;
    task.steps = asked;
    work.begin(task);
    EXPECT_LE(work.straggler_steps(), work.steps());
    EXPECT_GE(work.straggler_steps(), 1);
    EXPECT_THROW(static_cast<void>(work.look({})), std::logic_error);
    const std::int64_t planned = work.steps();
    for (std::int64_t i = 0; i < planned; ++i) work.step();
    if (asked == 0) {
      EXPECT_EQ(static_cast<std::uint64_t>(planned), privacy_plan(options).steps);
      EXPECT_THROW(work.step(), std::logic_error);  // more than is accounted for
    }
    return planned;
  };
  const Keys epochs{{"client.local_epochs", "3"}, {"client.batch_size", "16"}};  // q = 0.4
  const Keys fixed{{"client.local_steps", "5"}, {"client.batch_size", "16"}};
  for (const Examples& examples : {nobody(), patterns(3, 4), patterns(90, 4)}) {
    EXPECT_EQ(steps(epochs, examples), 9);
    EXPECT_EQ(steps(fixed, examples), 5);
  }
  EXPECT_EQ(steps(fixed, nobody(), 100), 5);
  EXPECT_EQ(steps(fixed, nobody(), 2), 2);
}

// Noise of an empty lot does not depend on the weights, so two steps give its sum, whoever makes them.
TEST(PrivateWork, EveryAlgorithmStepsByTheNoisyGradient) {
  const auto moved_by = [](const Keys& keys) {
    return train(private_options(keys + Keys{{"client.lr", "0.5"}, {"client.batch_size", "4"}}, 8), nobody());
  };
  const std::vector<float> one = moved_by({{"client.local_steps", "1"}});
  const std::vector<float> two = moved_by({{"client.local_steps", "2"}});
  ASSERT_GT(norm_of(one), 0);
  ASSERT_GT(norm_of(minus(two, one)), 0.5 * norm_of(one));
  const Keys steps{{"client.local_steps", "2"}};
  for (const char* name : {"fedasync", "fedbuff", "local_sgd", "downpour"}) {
    const std::vector<float> moved = moved_by(steps + Keys{{"algorithm.name", name}});
    EXPECT_LE(norm_of(minus(moved, two)), 1e-6 * norm_of(two)) << name;
  }
  EXPECT_LE(norm_of(minus(moved_by({{"algorithm.name", "dc_asgd"}}), one)), 1e-6 * norm_of(one));
  // The proximal term comes after the noise: -lr mu (w1 - w0).
  const std::vector<float> proximal =
      moved_by(steps + Keys{{"algorithm.name", "fedprox"}, {"algorithm.fedprox.mu", "0.3"}});
  EXPECT_LE(norm_of(minus(minus(proximal, two), one, -0.5F * 0.3F)), 1e-6 * norm_of(two));

  for (const char* name : {"easgd", "eamsgd"}) {
    Keys keys = steps + Keys{{"algorithm.name", name}, {"client.lr", "0.5"}, {"client.batch_size", "4"}};
    if (name == std::string("eamsgd")) keys.push_back({"algorithm.eamsgd.momentum", "0"});
    Site site(private_options(keys, 8));
    EXPECT_EQ(norm_of(site.train(nobody(), 0)), 0) << name;  // still at the centre
    EXPECT_LE(norm_of(minus(site.train(nobody(), 1), two)), 1e-6 * norm_of(two)) << name;
  }
}

TEST(PrivateWork, RepeatsWithASeedOnly) {
  const Examples examples = patterns(50, 4);
  const Keys keys{{"client.batch_size", "10"}};
  const Options seeded = private_options(keys, 50);
  const Options secret = private_options(keys + Keys{{"privacy.insecure_seed", "-1"}}, 50);
  EXPECT_EQ(train(seeded, examples), train(seeded, examples));
  EXPECT_NE(train(seeded, examples, 0), train(seeded, examples, 1));
  EXPECT_NE(train(secret, examples), train(secret, examples));
  // The lots too: without noise nothing else differs.
  EXPECT_NE(train(private_options(keys + kPlain, 50), examples, 0),
            train(private_options(keys + kPlain, 50), examples, 1));
}

TEST(PrivateWork, AnExampleThatIsNotFiniteCountsAsNothingAndIsLogged) {
  const Examples good = patterns(9, 4);
  std::vector<std::int64_t> all(9), labels(9);
  std::iota(all.begin(), all.end(), 0);
  std::vector<float> features(9 * 784);
  good->gather(all, features.data(), labels.data());
  features.resize(10 * 784, std::numeric_limits<float>::quiet_NaN());
  labels.push_back(2);
  const Keys keys = kPlain + Keys{{"client.batch_size", "10"}, {"client.local_steps", "3"}};
  Site site(private_options(keys, 10));
  const std::vector<float> expected = site.train(good);
  set_up_logging(0);
  ::testing::internal::CaptureStderr();
  const std::vector<float> update = site.train(std::make_shared<MemorySet>(kShape, features, labels), 0, 4);
  const std::string said = ::testing::internal::GetCapturedStderr();
  EXPECT_LE(norm_of(minus(update, expected)), 1e-6 * norm_of(expected));
  EXPECT_THAT(said,
              ::testing::HasSubstr("client 4, round 0: 3 gradients of single examples were not finite"));
  EXPECT_EQ(std::ranges::count(said, '\n'), 1);
  EXPECT_EQ(site.info.samples, 0);
  EXPECT_EQ(site.info.weight, 1);
  EXPECT_EQ(site.info.train_loss, 0);
}

TEST(PrivateWork, LotsAreSettledByTheBatchAndTheData) {
  const auto settled = [](const Keys& keys, double examples) {
    const PrivacyPlan plan = privacy_plan(private_options(keys, examples));
    return std::pair(plan.sampling_rate, plan.nominal_lot);
  };
  using Pair = std::pair<double, double>;
  EXPECT_EQ(settled({{"client.batch_size", "600"}}, 60'000), Pair(0.01, 600));
  EXPECT_EQ(settled({{"client.batch_size", "0"}}, 72.5), Pair(1, 72.5));
  EXPECT_EQ(settled({{"algorithm.name", "fedsgd"}}, 72.5), Pair(1, 72.5));
  EXPECT_EQ(settled({{"client.batch_size", "5"}, {"privacy.sampling_rate", "0.25"}}, 100), Pair(0.25, 5));
  EXPECT_EQ(settled({{"client.batch_size", "0"}, {"privacy.sampling_rate", "0.25"}}, 100), Pair(0.25, 25));
  EXPECT_EQ(settled({{"privacy.lot_size", "7"}, {"privacy.sampling_rate", "0.25"}}, 0), Pair(0.25, 7));
  EXPECT_THROW(settled({{"client.batch_size", "101"}}, 100), ConfigError);
  EXPECT_THROW(settled({{"client.batch_size", "10"}}, 0), ConfigError);
}

TEST(PrivateWork, EpsilonCountsWhatCameBeforeTheRun) {
  const Keys keys{{"client.batch_size", "10"}, {"privacy.noise_multiplier", "4"}, {"data.clients", "1"}};
  const Keys target{{"privacy.target_epsilon", "2"}};
  const auto ledger_of = [](const Keys& of) { return PrivacyLedger(private_options(of, 1000), {}); };
  const std::vector<ClientId> client{0};
  const auto releases = [&](const Keys& of) {
    PrivacyLedger ledger = ledger_of(of);
    for (int count = 0;; ++count) {
      if (!ledger.allows(client)) return count;
      ledger.spend(count, client);
      EXPECT_LE(ledger.epsilon(), 2);
    }
  };
  const Keys before{{"privacy.setup_noise", "5"}};
  PrivacyLedger plain = ledger_of(keys), more = ledger_of(keys + before);
  EXPECT_EQ(plain.epsilon(), 0);
  const Options options = private_options(keys, 1000);
  const auto accountant = accountants().make(options);
  accountant->add({NoiseKind::gaussian, 5, 1, 1});
  EXPECT_EQ(more.epsilon(), accountant->epsilon(1e-5));
  accountant->add(privacy_plan(options).event());
  plain.spend(1, client);
  more.spend(1, client);
  EXPECT_EQ(more.epsilon(), accountant->epsilon(1e-5));
  EXPECT_GT(more.epsilon(), plain.epsilon());
  EXPECT_LT(releases(keys + before + target), releases(keys + target));
  EXPECT_GT(releases(keys + before + target), 0);
  EXPECT_THAT(more.head(), ::testing::HasSubstr("\"setup_noise\":5"));
  EXPECT_THROW(plain.restore(more.head(), "ledger"), FileError);
}

}  // namespace
}  // namespace gossamer

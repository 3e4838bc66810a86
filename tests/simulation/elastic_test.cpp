// Asynchronous elastic averaging in virtual time, with a problem that can be computed by hand: each client
// has one quadratic a (x - b)^2 / 2, and its devices' speeds say when it asks for the centre.
#include <array>

#include "comms/codec.h"
#include "simulation/event_loop.h"
#include "tests/client/trainers/support.h"
#include "tests/simulation/simulated.h"

namespace gossamer {
namespace {

struct Problem {
  float a, b;
};
constexpr std::array<Problem, 2> kProblems{{{1, 0}, {4, 1}}};

// Trained by the algorithm's own trainer.
class QuadraticClients final : public VirtualClients {
 public:
  explicit QuadraticClients(const Options& options)
      : trainer_(
            algorithms().make(options)->make_trainer(options, std::make_unique<testing::Quadratic>(0.F))) {
    for (const Problem& problem : kProblems) examples_.push_back(testing::quadratic(problem.a, problem.b));
  }
  float x(std::size_t client) const { return states_[client].at(0)[0]; }

  std::int64_t examples(ClientId) const override { return 1; }
  std::size_t ahead() const override { return 1; }
  void begin(Work work, const Parcel& model) override { models_[work] = model.first; }
  Result<Parcel> outcome(Work work) override {
    const Frame& model = models_.at(work);
    float centre = 0;
    std::memcpy(&centre, decode_model(model).value().payload.bytes.data(), sizeof centre);
    Update update = trainer_->train({&centre, 1}, task_of(model.header));
    update.info.client = model.header.client;
    update.info.round = model.header.round;
    const SharedFloats floats = SharedFloats::of(std::move(update.values));
    return Parcel{encode_update(0, {update.info, {1, {floats.owner, std::as_bytes(floats.values)}}}), {}};
  }
  void forget(Work work) override { models_.erase(work); }
  void go_on(Work, const FrameHeader& model) override { trainer_->go_on(task_of(model)); }
  void wait(Work work) override { models_.erase(work); }

 private:
  TrainTask task_of(const FrameHeader& model) {
    const auto client = static_cast<std::size_t>(model.client);
    return {model.client, model.round, examples_[client], &states_[client]};
  }

  std::unique_ptr<LocalTrainer> trainer_;
  std::vector<std::shared_ptr<const ExampleSet>> examples_;
  std::array<TrainingState, kProblems.size()> states_;
  std::map<Work, Frame> models_;
};

// Training takes client 0 a second and client 1 two and a half; links take no time.
TEST(ElasticAsynchronous, FollowsItsRuleInTheOrderOfVirtualTime) {
  const TemporaryFolder folder;
  write_atomically(folder.path() / "devices.csv", "2\n0.8\n");
  Options options = configured({{"data.clients", "2"},
                                {"algorithm.name", "easgd"},
                                {"sync.mode", "async"},
                                {"client.local_steps", "2"},
                                {"devices.trace", (folder.path() / "devices.csv").string()},
                                {"network.latency_ms", "0"},
                                {"network.up_mbps", "1e12"},
                                {"network.down_mbps", "1e12"},
                                {"run.rounds", "7"},
                                {"run.eval_every", "1"}},
                               folder);
  const auto data = make_dataset(options);
  resolve(options);

  auto initial = std::make_shared<Parameters>();
  initial->layout = std::make_shared<const ParameterLayout>(
      std::vector<TensorSpec>{{"x", {1}, 0, 0, TensorRole::parameter}});
  initial->values.assign(1, 3.0F);
  const auto coordinator = make_coordinator(options, initial);
  QuadraticClients clients(options);
  std::ostringstream out;
  ProgressPrinter progress(out, ProgressStyle::quiet, 7);
  RunKeeper keeper(options, RunFolder::create(options), "virtual", progress);
  keeper.resume(*coordinator);
  std::vector<float> centres;
  RunServices services;
  services.evaluate = [&](const Parameters& model) {
    centres.push_back(model.values[0]);
    return Evaluation{};
  };
  keeper.set_services(std::move(services));
  EventLoop loop(options, clients, {kFrameHeaderBytes + sizeof(float)});
  EXPECT_EQ(loop.run(*coordinator, keeper, [] { return false; }), "rounds");

  const std::array<std::size_t, 7> order{0, 1, 0, 0, 1, 0, 0};
  const std::array<double, 7> times{0, 0, 1, 2, 2.5, 3, 4};
  const auto rounds = read_metrics(keeper.folder().metrics());
  ASSERT_EQ(rounds.size(), order.size());
  ASSERT_EQ(centres.size(), order.size());
  const double lr = 0.1, alpha = 0.45;
  double centre = 3;
  std::array<double, 2> x{3, 3};
  for (std::size_t i = 0; i < order.size(); ++i) {
    const std::size_t k = order[i];
    const double pull = alpha * (x[k] - centre);
    centre += pull;
    for (int step = 0; step < 2; ++step) {
      x[k] -= lr * static_cast<double>(kProblems[k].a) * (x[k] - static_cast<double>(kProblems[k].b));
      if (step == 0) x[k] -= pull;
    }
    EXPECT_NEAR(centres[i], centre, 2e-6) << i;
    EXPECT_NEAR(rounds[i].time_s, times[i], 1e-6) << i;
    EXPECT_EQ(rounds[i].clients, 1);
  }
  for (std::size_t k = 0; k < x.size(); ++k) EXPECT_NEAR(clients.x(k), x[k], 2e-6) << k;
  // The first exchange of each is with the model that it starts from.
  EXPECT_EQ(centres[0], 3);
  EXPECT_EQ(centres[1], 3);
  EXPECT_NE(centres[2], 3);
}

}  // namespace
}  // namespace gossamer

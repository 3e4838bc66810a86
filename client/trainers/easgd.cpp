// EASGD in its synchronous form (elastic.h): the client's own model x_i takes client.local_steps gradient
// steps a round, the first one together with the elastic pull towards the centre.
#include <algorithm>

#include "client/trainers/elastic.h"
#include "client/trainers/local_work.h"
#include "client/trainers/methods.h"
#include "client/trainers/vectors.h"

namespace gossamer {
namespace {

class ElasticTrainer final : public LocalTrainer {
 public:
  ElasticTrainer(const Options& options, std::unique_ptr<Model> model)
      : work_(options, std::move(model)), alpha_(static_cast<float>(elastic_alpha(options, "easgd"))) {}

  Update train(std::span<const float> centre, const TrainTask& task) override {
    open_elastic_state(task, centre, {});
    FloatBuffer& own = task.state->front();
    Update update{{}, FloatBuffer(centre.size())};
    subtract(own, centre, update.values);
    std::ranges::copy(own, work_.weights().begin());

    work_.begin(task);
    const std::int64_t steps = work_.steps();
    if (steps > 0) work_.step();
    add_scaled(work_.weights(), -alpha_, update.values);
    for (std::int64_t done = 1; done < steps; ++done) work_.step();

    std::ranges::copy(work_.weights(), own.begin());
    update.info = work_.info();
    return update;
  }

 private:
  LocalWork work_;
  float alpha_;
};

class Easgd final : public Algorithm {
 public:
  void preset(Options& options) const override { preset_elastic(options, "easgd"); }
  bool keeps_client_state() const override { return true; }
  std::unique_ptr<LocalTrainer> make_trainer(const Options& options,
                                             std::unique_ptr<Model> model) const override {
    return std::make_unique<ElasticTrainer>(options, std::move(model));
  }
};

}  // namespace

std::unique_ptr<Algorithm> make_easgd(const Options&) { return std::make_unique<Easgd>(); }

}  // namespace gossamer

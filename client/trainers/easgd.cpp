// EASGD (elastic.h): the client's own model x_i takes plain gradient steps between its exchanges with the
// centre.
#include "client/trainers/elastic.h"
#include "client/trainers/methods.h"

namespace gossamer {
namespace {

class PlainElasticTrainer final : public ElasticTrainer {
 public:
  PlainElasticTrainer(const Options& options, std::unique_ptr<Model> model)
      : ElasticTrainer(options, std::move(model), "easgd", {}) {}

 private:
  void step(TrainingState&) override { work_.step(); }
};

class Easgd final : public Algorithm {
 public:
  void preset(Options& options) const override { preset_elastic(options, "easgd"); }
  bool keeps_client_state() const override { return true; }
  bool exchanges_on_request() const override { return true; }
  std::unique_ptr<LocalTrainer> make_trainer(const Options& options,
                                             std::unique_ptr<Model> model) const override {
    return std::make_unique<PlainElasticTrainer>(options, std::move(model));
  }
};

}  // namespace

std::unique_ptr<Algorithm> make_easgd(const Options&) { return std::make_unique<Easgd>(); }

}  // namespace gossamer

#include "support.h"

#include <torch/torch.h>

#include "client/device.h"
#include "client/models/model_options.h"
#include "privacy/privacy_plan.h"

namespace gossamer::testing {

Quadratic::Quadratic(float start) {
  x_ = at::full({1}, start).requires_grad_(true);
  adopt({{"x", x_}}, {});
}

at::Tensor Quadratic::forward(const at::Tensor& features) {
  return features.select(1, 0) * (x_ - features.select(1, 1)).square() / 2;
}

at::Tensor Quadratic::loss(const at::Tensor& logits, const at::Tensor&) { return logits.mean(); }

Options make_options(const std::vector<std::pair<std::string, std::string>>& given) {
  auto schema = std::make_shared<OptionSchema>();
  schema->add(integer_option("run.seed", 1, "seed"));
  schema->add(integer_option("data.clients", 2, "clients"));
  schema->add(text_option("server.optimizer", "sgd", "server optimizer"));
  schema->add(real_option("server.lr", 1, "server rate"));
  schema->add(text_option("server.weighting", "examples", "weights"));
  schema->add(real_option("cohort.fraction", 0.1, "fraction"));
  schema->add(integer_option("cohort.size", 0, "size"));
  schema->add(real_option("devices.straggler_fraction", 0, "stragglers"));
  schema->add(real_option("devices.straggler_slowdown", 1, "slowdown"));
  for (const char* key : {"compression.up", "compression.down"})
    schema->add(text_option(key, "none", "what a round's update goes through"));
  add_privacy_options(*schema);
  schema->add(text_option("sync.mode", "bsp", "mode"));
  schema->add(text_option("sync.pull", "with_work", "pull"));
  schema->add(text_option("sync.local_steps", "configured", "steps"));
  schema->add(text_option("sync.correction", "none", "correction"));
  schema->add(text_option("sync.staleness_weight", "constant", "weight"));
  add_methods(*schema, models().describe());
  add_model_options(*schema);
  add_methods(*schema, algorithms().describe());
  add_client_options(*schema);
  add_device_option(*schema);
  Options options(schema);
  for (const auto& [key, value] : given) options.set(key, value);
  options.check_methods();
  algorithms().make(options)->preset(options);
  return options;
}

}  // namespace gossamer::testing

#include "client/trainers/factor_rule.h"

#include "client/trainers/minibatches.h"
#include "core/model.h"

namespace gossamer {
namespace {

// Where the network is as fast as memory, making the products of others' examples has to be worth it too.
constexpr std::size_t kAutoTimesShorter = 8;

std::size_t factor_floats(const FactorRule& rule, const TensorSpec& weight) {
  return rule.examples * static_cast<std::size_t>(weight.shape[0] + weight.shape[1]);
}

}  // namespace

bool FactorRule::holds(const TensorSpec& weight) const noexcept {
  return examples > 0 && weight.shape.size() == 2 &&
         factor_floats(*this, weight) * times_shorter < weight.size;
}

std::size_t FactorRule::floats_of(const TensorSpec& tensor) const noexcept {
  return holds(tensor) ? factor_floats(*this, tensor) : tensor.size;
}

FactorRule factor_rule(const Options& options) {
  const std::string& choice = options.text("algorithm.sync_sgd.factors");
  const std::int64_t batch = options.integer("client.batch_size");
  FactorRule rule;
  if (choice == "never" || batch == 0 || batch > Minibatches::kMicroBatch) return rule;
  rule.examples = static_cast<std::size_t>(batch * options.integer("data.clients"));
  if (choice == "auto") rule.times_shorter = kAutoTimesShorter;
  return rule;
}

std::size_t floats_of_step(const Model& model, const FactorRule& rule) {
  if (model.stack().empty()) return model.layout()->parameter_count();
  std::size_t floats = 0;
  for (const TensorSpec& tensor : model.layout()->tensors()) {
    if (tensor.role == TensorRole::parameter) floats += rule.floats_of(tensor);
  }
  return floats;
}

}  // namespace gossamer

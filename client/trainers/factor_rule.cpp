#include "client/trainers/factor_rule.h"

#include "client/trainers/minibatches.h"
#include "core/model.h"

namespace gossamer {
namespace {

// Up to so many examples of all peers, the product of all takes little more than reading and writing the
// weights, as gathering their rows would.
constexpr std::size_t kFewExamples = 64;
// Where the network is as fast as memory, each way has to be so many times shorter than what it replaces.
constexpr std::size_t kFactorsTimesShorter = 8;
constexpr std::size_t kRowsTimesShorter = 2;

}  // namespace

DenseWay FactorRule::way_of(const TensorSpec& weight) const noexcept {
  if (batch == 0 || weight.shape.size() != 2) return DenseWay::gradient;
  const std::size_t factors = table_of(weight);
  if (shortest) return factors < weight.size ? DenseWay::factors : DenseWay::gradient;
  if (peers * batch <= kFewExamples && factors * kFactorsTimesShorter < weight.size) return DenseWay::factors;
  return peers > 1 && factors * kRowsTimesShorter < weight.size ? DenseWay::rows : DenseWay::gradient;
}

FactorRule factor_rule(const Options& options) {
  const std::string& choice = options.text("algorithm.sync_sgd.factors");
  const std::int64_t batch = options.integer("client.batch_size");
  FactorRule rule;
  if (choice == "never" || batch == 0 || batch > Minibatches::kMicroBatch) return rule;
  rule.peers = static_cast<std::size_t>(options.integer("data.clients"));
  rule.batch = static_cast<std::size_t>(batch);
  rule.shortest = choice == "shorter";
  return rule;
}

StepFloats floats_of_step(const Model& model, const FactorRule& rule) {
  if (model.stack().empty()) return {model.layout()->parameter_count(), 0};
  StepFloats floats;
  for (const TensorSpec& tensor : model.layout()->tensors()) {
    if (tensor.role != TensorRole::parameter) continue;
    const DenseWay way = rule.way_of(tensor);
    if (way == DenseWay::gradient) floats.summed += tensor.size;
    if (way != DenseWay::gradient) floats.gathered += rule.table_of(tensor);
    if (way == DenseWay::rows) floats.gathered += tensor.size;
  }
  return floats;
}

}  // namespace gossamer

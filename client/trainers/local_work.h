#pragma once

#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "client/trainers/gradient_exchange.h"
#include "client/trainers/gradients.h"
#include "client/trainers/minibatches.h"
#include "client/trainers/private_steps.h"
#include "client/trainers/trainer.h"

namespace gossamer {

// The loop that the algorithms share: gradient steps on one client's examples, with the client's optimizer.
// Holds the model replica. The weights are model().values(): an algorithm sets them before begin(), and may
// change them between steps. Nothing is allocated in a step by us. Not thread-safe.
//
// With privacy.placement = example a batch is a Poisson lot and its gradient the noisy one of PrivateSteps;
// there is no other. What makes a step of it (weight decay, a proximal term, the optimizer) comes after.
class LocalWork {
 public:
  LocalWork(const Options& options, std::unique_ptr<Model> model);

  Model& model() noexcept { return *model_; }
  std::span<float> weights() noexcept { return model_->values(); }

  // Opens the work of one (client, round): fresh optimizer, its own order of examples and random stream.
  void begin(const TrainTask& task);
  // What the task, client.local_epochs or client.local_steps ask of this client; 0 for one without examples.
  // In private work the same number for all, and no task asks for more.
  std::int64_t steps() const;
  // The same for a straggler, who does x ~ U{1 .. local epochs} (or steps, where these are configured).
  std::int64_t straggler_steps() const;

  // One optimizer step on the next batch. With `anchor`, mu * (w - anchor) is added to the gradient.
  void step(float mu = 0, std::span<const float> anchor = {});
  // The gradient of the next batch, for an algorithm that makes the step itself: `use` gets each parameter
  // tensor's part of the weights, its gradient (weight decay included) and its offset.
  using Use = std::function<void(std::span<float> w, std::span<const float> gradient, std::size_t offset)>;
  void gradient_step(const Use& use);

  // Steps that all peers make together: each by the gradient of the mean loss over the batches of all, as one
  // process would with the union of them. `examples[i]` is how many these hold in step i. The weights are
  // equal on all peers before and after. Throws ExchangeBroken. Not for private work (std::logic_error).
  void common_steps(GradientExchange& exchange, std::span<const float> examples);
  // The size of the batch of each of the next steps(); 0 for a client without examples.
  std::vector<float> batch_sizes(std::int64_t steps) const;

  // The loss and the gradient (parameters only) of the batch that comes next, at the weights as they are; the
  // batch still comes, and nothing is counted. The weights' statistics may move. Not for private work
  // (std::logic_error).
  float look(std::span<float> gradient);

  // What was done since begin(), for the update: after private work nothing that tells of the examples. Says
  // in the log if gradients were not finite.
  UpdateInfo info() const;

 private:
  struct Settings {
    std::uint64_t seed;
    std::int64_t batch_size, epochs, steps;
    float weight_decay;
  };
  Gradients& plain_gradients();
  void compute_batch();
  std::span<float> gradient_of(std::size_t tensor);
  void apply_product(const GradientExchange::Product& product);
  void give_gradient(float examples, GradientFlow& flow);
  void count(const Minibatches::Part& part, float loss);
  std::span<float> part_of(std::size_t tensor);

  Settings settings_;
  std::unique_ptr<Model> model_;
  std::unique_ptr<ClientOptimizer> optimizer_;
  std::unique_ptr<Gradients> gradients_;   // null in private work
  std::unique_ptr<PrivateSteps> private_;  // null in any other
  NoisyGradient* noisy_ = nullptr;         // of the last lot
  const bool is_stack_;                    // whose dense layers give factors where these are wanted
  Minibatches batches_;
  FloatBuffer scratch_;  // of apply_product()

  TrainTask task_;
  std::int64_t epoch_steps_ = 0;
  std::int64_t samples_ = 0;
  double loss_sum_ = 0;
};

// The update of an algorithm that trains from the global model: weights - global.
Update difference_update(LocalWork& work, std::span<const float> global);

}  // namespace gossamer

#include "client/trainers/device_trainer.h"

#include <torch/torch.h>

#include <utility>

#include "client/device.h"
#include "client/trainers/minibatches.h"

namespace gossamer {
namespace {

// The model's tensors are views into the flat vector on the device for as long as this lives.
class Moved {
 public:
  Moved(Model& model, const at::Tensor& flat, const at::Tensor& gradient) : model_(model) {
    model_.move_to(flat);
    for (std::size_t i = 0; i < model_.parameters().size(); ++i) {
      const TensorSpec& spec = model_.layout()->tensors()[i];
      model_.parameters()[i].mutable_grad() =
          gradient.narrow(0, static_cast<std::int64_t>(spec.offset), static_cast<std::int64_t>(spec.size))
              .view(spec.shape);
    }
  }
  ~Moved() { model_.return_to_values(); }
  Moved(const Moved&) = delete;
  Moved& operator=(const Moved&) = delete;

 private:
  Model& model_;
};

at::Tensor view_of(std::span<const float> values) {
  return at::from_blob(const_cast<float*>(values.data()), {static_cast<std::int64_t>(values.size())},
                       at::kFloat);
}

class DeviceTrainer final : public LocalTrainer {
 public:
  DeviceTrainer(const Options& options, std::unique_ptr<Model> model, at::Device device);
  Update train(std::span<const float> global, const TrainTask& task) override;

 private:
  struct Settings {
    std::uint64_t seed;
    std::int64_t batch_size, epochs, steps;
    double lr, weight_decay, momentum;
    bool nesterov;
  };
  void begin(const TrainTask& task);
  std::int64_t steps(const TrainTask& task) const;
  void step();
  void descend();

  Settings settings_;
  std::unique_ptr<Model> model_;
  at::Device device_;
  at::Tensor global_, weights_;     // [layout.size()]
  at::Tensor gradient_, velocity_;  // [layout.parameter_count()]
  at::Tensor loss_sum_;             // a double
  Minibatches batches_;
  std::int64_t samples_ = 0;
};

DeviceTrainer::DeviceTrainer(const Options& options, std::unique_ptr<Model> model, at::Device device)
    : settings_{static_cast<std::uint64_t>(options.integer("run.seed")),
                options.integer("client.batch_size"),
                options.integer("client.local_epochs"),
                options.integer("client.local_steps"),
                options.real("client.lr"),
                options.real("client.weight_decay"),
                options.real("client.momentum"),
                options.flag("client.nesterov")},
      model_(std::move(model)),
      device_(device) {
  const auto floats = static_cast<std::int64_t>(model_->layout()->size());
  const auto trained = static_cast<std::int64_t>(model_->layout()->parameter_count());
  const auto on_device = at::TensorOptions(device_).dtype(at::kFloat);
  global_ = at::empty({floats}, on_device);
  weights_ = at::empty({floats}, on_device);
  gradient_ = at::zeros({trained}, on_device);
  if (settings_.momentum != 0) velocity_ = at::zeros({trained}, on_device);
  loss_sum_ = at::zeros({}, on_device.dtype(at::kDouble));
}

Update DeviceTrainer::train(std::span<const float> global, const TrainTask& task) {
  global_.copy_(view_of(global));
  weights_.copy_(global_);
  begin(task);
  {
    const Moved moved(*model_, weights_, gradient_);
    for (std::int64_t left = steps(task); left > 0; --left) {
      if (task.called_off && task.called_off()) throw WorkCalledOff();
      step();
    }
  }
  Update update;
  update.info.client = task.client;
  update.info.round = task.round;
  update.info.weight = static_cast<double>(task.examples->size());
  update.info.samples = samples_;
  update.info.train_loss = samples_ == 0 ? 0 : loss_sum_.item<double>() / static_cast<double>(samples_);
  update.on_device = as_device_floats(weights_ - global_);
  return update;
}

void DeviceTrainer::begin(const TrainTask& task) {
  if (at::get_num_threads() != 1) at::set_num_threads(1);
  samples_ = 0;
  loss_sum_.zero_();
  if (settings_.momentum != 0) velocity_.zero_();
  const auto client = static_cast<std::uint64_t>(task.client);
  const auto round = static_cast<std::uint64_t>(task.round);
  if (task.examples->size() > 0)
    batches_.start(task.examples, settings_.batch_size, Rng(settings_.seed, Purpose::shuffle, client, round));
  model_->set_training(true);
  model_->set_randomness(Rng(settings_.seed, Purpose::dropout, client, round));
}

std::int64_t DeviceTrainer::steps(const TrainTask& task) const {
  if (task.examples->size() == 0) return 0;
  if (task.steps > 0) return task.steps;
  return settings_.steps > 0 ? settings_.steps : settings_.epochs * batches_.batches_per_epoch();
}

// Nothing in it waits for the device but the copies of batches.
void DeviceTrainer::step() {
  gradient_.zero_();
  for (bool last = false; !last;) {
    const Minibatches::Part& part = batches_.next();
    const at::Tensor loss = model_->loss(model_->forward(part.features.to(device_)), part.labels.to(device_));
    const double share = static_cast<double>(part.examples) / static_cast<double>(part.batch_examples);
    (share == 1 ? loss : loss * share).backward();
    loss_sum_.add_(loss.detach(), static_cast<double>(part.examples));
    samples_ += part.examples;
    last = part.last;
  }
  descend();
}

// As client/optimizers/sgd.cpp.
void DeviceTrainer::descend() {
  const at::NoGradGuard no_grad;
  at::Tensor w = weights_.narrow(0, 0, gradient_.numel());
  if (settings_.weight_decay != 0) gradient_.add_(w, settings_.weight_decay);
  if (settings_.momentum == 0) {
    w.sub_(gradient_, settings_.lr);
    return;
  }
  velocity_.mul_(settings_.momentum).add_(gradient_);
  if (settings_.nesterov) {
    w.sub_(gradient_.add_(velocity_, settings_.momentum), settings_.lr);
  } else {
    w.sub_(velocity_, settings_.lr);
  }
}

}  // namespace

std::unique_ptr<LocalTrainer> make_device_trainer(const Options& options, std::unique_ptr<Model> model,
                                                  at::Device device) {
  return std::make_unique<DeviceTrainer>(options, std::move(model), device);
}

}  // namespace gossamer

#include "client/trainers/local_work.h"

#include <torch/torch.h>

#include <algorithm>
#include <stdexcept>
#include <string>
#include <utility>

#include "client/trainers/vectors.h"
#include "core/logging.h"
#include "core/straggler.h"

namespace gossamer {
namespace {

std::unique_ptr<PrivateSteps> make_private_steps(const Options& options, Model& model) {
  const PrivacyPlan plan = privacy_plan(options);
  if (plan.placement != Placement::example) return nullptr;
  return std::make_unique<PrivateSteps>(options, plan, model);
}

}  // namespace

LocalWork::LocalWork(const Options& options, std::unique_ptr<Model> model)
    : settings_{static_cast<std::uint64_t>(options.integer("run.seed")), options.integer("client.batch_size"),
                options.integer("client.local_epochs"), options.integer("client.local_steps"),
                static_cast<float>(options.real("client.weight_decay"))},
      model_(std::move(model)),
      optimizer_(client_optimizers().make(options, model_->layout()->parameter_count())),
      private_(make_private_steps(options, *model_)),
      is_stack_(!model_->stack().empty()) {
  if (!private_) gradients_ = make_gradients(*model_);
}

void LocalWork::begin(const TrainTask& task) {
  // One thread a trainer; the setting belongs to the calling thread.
  if (at::get_num_threads() != 1) at::set_num_threads(1);
  task_ = task;
  samples_ = 0;
  loss_sum_ = 0;
  epoch_steps_ = 0;
  optimizer_->reset();
  if (private_) {
    private_->begin(task);
  } else if (task.examples->size() == 0) {
    return;
  }
  const auto client = static_cast<std::uint64_t>(task.client);
  const auto round = static_cast<std::uint64_t>(task.round);
  if (!private_) {
    batches_.start(task.examples, settings_.batch_size, Rng(settings_.seed, Purpose::shuffle, client, round));
    epoch_steps_ = batches_.batches_per_epoch();
  }
  model_->set_training(true);
  model_->set_randomness(Rng(settings_.seed, Purpose::dropout, client, round));
}

std::int64_t LocalWork::steps() const {
  if (private_) return task_.steps > 0 ? std::min(task_.steps, private_->most()) : private_->most();
  if (task_.steps > 0 && epoch_steps_ > 0) return task_.steps;
  return settings_.steps > 0 && epoch_steps_ > 0 ? settings_.steps : settings_.epochs * epoch_steps_;
}

std::int64_t LocalWork::straggler_steps() const {
  const bool by_steps = settings_.steps > 0 && (epoch_steps_ > 0 || private_);
  const std::int64_t done = straggler_epochs(settings_.seed, task_.client, task_.round,
                                             by_steps ? settings_.steps : settings_.epochs);
  if (by_steps) return done;
  return done * (private_ ? private_->most() / settings_.epochs : epoch_steps_);
}

std::span<float> LocalWork::part_of(std::size_t tensor) {
  const TensorSpec& spec = model_->layout()->tensors()[tensor];
  return weights().subspan(spec.offset, spec.size);
}

void LocalWork::step(float mu, std::span<const float> anchor) {
  if (task_.called_off && task_.called_off()) throw WorkCalledOff();
  optimizer_->begin_step();
  if (const auto descent = optimizer_->plain_descent();
      descent && mu == 0 && !private_ && batches_.next_is_whole()) {
    const Minibatches::Part& part = batches_.next();
    if (const auto loss = gradients_->descend(part.features, part.labels, *descent)) {
      count(part, *loss);
      return;
    }
    count(part, gradients_->compute(part.features, part.labels, 1, false));
  } else {
    compute_batch();
  }
  for (std::size_t i = 0; i < model_->parameters().size(); ++i) {
    const std::span<float> gradient = gradient_of(i);
    if (gradient.empty()) continue;
    const std::span<float> w = part_of(i);
    const std::size_t offset = model_->layout()->tensors()[i].offset;
    if (mu != 0) add_proximal(gradient, mu, w, anchor.subspan(offset, w.size()));
    optimizer_->step(w, gradient, offset);
  }
}

void LocalWork::gradient_step(const Use& use) {
  if (task_.called_off && task_.called_off()) throw WorkCalledOff();
  compute_batch();
  for (std::size_t i = 0; i < model_->parameters().size(); ++i) {
    const std::span<float> gradient = gradient_of(i);
    if (gradient.empty()) continue;
    const std::span<float> w = part_of(i);
    if (settings_.weight_decay != 0) add_scaled(gradient, settings_.weight_decay, w);
    use(w, gradient, model_->layout()->tensors()[i].offset);
  }
}

std::vector<float> LocalWork::batch_sizes(std::int64_t steps) const {
  std::vector<float> sizes(static_cast<std::size_t>(steps));
  if (epoch_steps_ == 0) return sizes;
  for (std::int64_t i = 0; i < steps; ++i)
    sizes[static_cast<std::size_t>(i)] = static_cast<float>(batches_.size_of(i % epoch_steps_));
  return sizes;
}

void LocalWork::common_steps(GradientExchange& exchange, std::span<const float> examples) {
  static_cast<void>(plain_gradients());
  const std::span<float> parameters = weights().first(model_->layout()->parameter_count());
  exchange.open(parameters, {[this] { optimizer_->begin_step(); },
                             [this](std::size_t offset, std::span<const float> gradient) {
                               optimizer_->step(weights().subspan(offset, gradient.size()), gradient, offset);
                             },
                             [this](const GradientExchange::Product& product) { apply_product(product); }});
  for (const float all : examples) {
    if (task_.called_off && task_.called_off()) throw WorkCalledOff();
    give_gradient(all, exchange);
  }
  exchange.close();
}

void LocalWork::apply_product(const GradientExchange::Product& product) {
  const at::NoGradGuard no_grad;
  const std::int64_t all_rows = product.weight.shape[0], columns = product.weight.shape[1];
  const std::int64_t width = all_rows + columns;
  const std::int64_t examples = static_cast<std::int64_t>(product.factors.size()) / width;
  const at::Tensor factors =
      at::from_blob(const_cast<float*>(product.factors.data()), {examples, width}, at::kFloat);
  const auto first = static_cast<std::int64_t>(product.row), rows = static_cast<std::int64_t>(product.rows);
  const at::Tensor delta_t = factors.narrow(1, first, rows).t(), x = factors.narrow(1, all_rows, columns);
  const std::size_t offset = product.weight.offset + static_cast<std::size_t>(first * columns);
  if (const auto descent = optimizer_->plain_descent()) {
    at::from_blob(weights().subspan(offset).data(), {rows, columns}, at::kFloat)
        .addmm_(delta_t, x, descent->keep, -descent->rate);
    return;
  }
  // Row block by row block, so that the optimizer finds each in the cache.
  constexpr std::int64_t kBlock = std::int64_t{1} << 16U;
  const std::int64_t block = std::clamp<std::int64_t>(kBlock / columns, 1, rows);
  scratch_.resize(static_cast<std::size_t>(block * columns));
  for (std::int64_t row = 0; row < rows; row += block) {
    const std::int64_t count = std::min(block, rows - row);
    const std::span<float> gradient = std::span(scratch_).first(static_cast<std::size_t>(count * columns));
    at::Tensor part = at::from_blob(gradient.data(), {count, columns}, at::kFloat);
    at::mm_out(part, delta_t.narrow(0, row, count), x);
    const std::size_t begin = offset + static_cast<std::size_t>(row * columns);
    optimizer_->step(weights().subspan(begin, gradient.size()), gradient, begin);
  }
}

// This peer's part of the gradient of the mean loss over so many examples.
void LocalWork::give_gradient(float examples, GradientFlow& flow) {
  const std::size_t parameters = model_->layout()->parameter_count();
  if (epoch_steps_ == 0) {
    flow.before_use(0, parameters);
    for (std::size_t i = model_->parameters().size(); i-- > 0;) {
      const TensorSpec& tensor = model_->layout()->tensors()[i];
      if (is_stack_ && !flow.factors(tensor).empty()) {
        flow.leave();
      } else {
        flow.cut(tensor, [](std::size_t, std::span<float> values) { std::ranges::fill(values, 0.0F); });
      }
    }
    return;
  }
  if (batches_.next_is_whole()) {
    const Minibatches::Part& part = batches_.next();
    const float share = static_cast<float>(part.examples) / examples;
    count(part, gradients_->compute_through(part.features, part.labels, share, flow));
    return;
  }
  flow.before_use(0, parameters);
  for (bool last = false; !last;) {
    const Minibatches::Part& part = batches_.next();
    const float share = static_cast<float>(part.examples) / examples;
    count(part, gradients_->compute(part.features, part.labels, share, !part.first));
    last = part.last;
  }
  give_whole(*gradients_, *model_, flow);
}

float LocalWork::look(std::span<float> gradient) {
  Gradients& gradients = plain_gradients();
  const Minibatches before = batches_;
  const std::int64_t samples = std::exchange(samples_, 0);
  const double loss_sum = std::exchange(loss_sum_, 0);
  compute_batch();
  const double loss = loss_sum_ / static_cast<double>(samples_);
  for (std::size_t i = 0; i < model_->parameters().size(); ++i) {
    const TensorSpec& spec = model_->layout()->tensors()[i];
    const std::span<float> part = gradient.subspan(spec.offset, spec.size);
    const std::span<float> computed = gradients.of(i);
    if (computed.empty()) {
      std::ranges::fill(part, 0.0F);
    } else {
      std::ranges::copy(computed, part.begin());
      if (settings_.weight_decay != 0) add_scaled(part, settings_.weight_decay, part_of(i));
    }
  }
  batches_ = before;
  samples_ = samples;
  loss_sum_ = loss_sum;
  return static_cast<float>(loss);
}

void LocalWork::compute_batch() {
  if (private_) {
    noisy_ = &private_->next();
    return;
  }
  bool last = false;
  while (!last) {
    const Minibatches::Part& part = batches_.next();
    const float share = static_cast<float>(part.examples) / static_cast<float>(part.batch_examples);
    count(part, gradients_->compute(part.features, part.labels, share, !part.first));
    last = part.last;
  }
}

// The gradient of the last batch or lot; empty where the loss does not depend on the tensor.
std::span<float> LocalWork::gradient_of(std::size_t tensor) {
  if (!private_) return gradients_->of(tensor);
  const TensorSpec& spec = model_->layout()->tensors()[tensor];
  return noisy_->values().subspan(spec.offset, spec.size);
}

Gradients& LocalWork::plain_gradients() {
  if (private_) throw std::logic_error("private work has no gradients without noise");
  return *gradients_;
}

void LocalWork::count(const Minibatches::Part& part, float loss) {
  samples_ += part.examples;
  loss_sum_ += static_cast<double>(loss) * static_cast<double>(part.examples);
}

UpdateInfo LocalWork::info() const {
  UpdateInfo info;
  info.client = task_.client;
  info.round = task_.round;
  if (private_) {
    if (private_->not_finite() > 0)
      log_warning("client " + std::to_string(task_.client) + ", round " + std::to_string(task_.round) + ": " +
                  std::to_string(private_->not_finite()) +
                  " gradients of single examples were not finite and count as 0");
    info.weight = 1;
    return info;
  }
  info.weight = static_cast<double>(task_.examples->size());
  info.samples = samples_;
  info.train_loss = samples_ == 0 ? 0 : loss_sum_ / static_cast<double>(samples_);
  return info;
}

Update difference_update(LocalWork& work, std::span<const float> global) {
  Update update{{work.info(), FloatBuffer(global.size())}};
  subtract(work.weights(), global, update.values);
  return update;
}

}  // namespace gossamer

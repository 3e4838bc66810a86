#include "client/trainers/clipped_gradients.h"

#include <torch/torch.h>

#include <algorithm>
#include <cmath>
#include <stdexcept>
#include <string>

#include "client/trainers/layer_products.h"
#include "client/trainers/layer_tracer.h"
#include "core/error.h"
#include "privacy/clip.h"

namespace gossamer {
namespace {

void refuse_batch_norm(const Model& model) {
  for (const TensorSpec& tensor : model.layout()->tensors()) {
    if (tensor.role == TensorRole::buffer && tensor.name.ends_with("running_mean")) {
      throw ConfigError("gradients of single examples: the model has batch norm (" + tensor.name +
                        "), which mixes the examples of a batch; take a model without, such as lenet or cnn");
    }
  }
}

// So many that what is kept of them fits into 128 MiB: at most the gradients of all weights but those of a
// stack's dense layers.
std::int64_t examples_at_once(const Model& model) {
  constexpr std::size_t kFloats = std::size_t{1} << 25U;
  std::size_t kept = 0;
  const std::vector<StackLayer> stack = model.stack();
  for (const StackLayer& layer : stack) {
    if (layer.weight.dim() == 4) kept += static_cast<std::size_t>(layer.weight.numel());
  }
  if (stack.empty()) kept = model.layout()->parameter_count();
  return std::max<std::int64_t>(1, static_cast<std::int64_t>(kFloats / std::max<std::size_t>(1, kept)));
}

// The layers' gradients are never made for all weights and examples at once: their norms first, then the sum.
class TracedGradients final : public ClippedGradients {
 public:
  TracedGradients(Model& model, std::unique_ptr<LayerTracer> tracer)
      : ClippedGradients(model, examples_at_once(model)), tracer_(std::move(tracer)) {}

 private:
  ClippedSum compute_part(const at::Tensor& features, const at::Tensor& labels,
                          std::span<const double> bounds, bool add, std::span<float> sum,
                          std::span<double> norms) override {
    LayerTracer::Batch& batch = tracer_->trace(features, labels);
    const at::NoGradGuard no_grad;
    const auto examples = static_cast<std::size_t>(features.size(0));
    const auto bound_of_layer = [&](std::size_t layer) {
      return bound_of(offset_of(batch.layers[layer].weight), bounds.size()) * examples;
    };
    check(batch.layers);
    products_.resize(batch.layers.size());
    std::ranges::fill(norms, 0.0);
    for (std::size_t i = 0; i < products_.size(); ++i) {
      products_[i].take(batch.layers[i], features.size(0));
      batch.layers[i].delta.reset();
      products_[i].add_squares(norms.subspan(bound_of_layer(i), examples));
    }
    factors_.resize(norms.size());
    bad_.clear();
    make_factors(bounds, norms, factors_, bad_);
    for (std::size_t i = 0; i < products_.size(); ++i) {
      if (!bad_.empty()) products_[i].forget(bad_);
      products_[i].add_to(std::span(factors_).subspan(bound_of_layer(i), examples), add,
                          part_of(sum, batch.layers[i].weight), part_of(sum, batch.layers[i].bias));
    }
    ClippedSum result{batch.loss, static_cast<std::int64_t>(bad_.size())};
    if (!bad_.empty()) result.loss = loss_of_the_rest(batch.logits, labels, features.size(0));
    return result;
  }

  std::size_t offset_of(const at::Tensor& parameter) const {
    return static_cast<std::size_t>(parameter.data_ptr<float>() - model_.values().data());
  }
  std::span<float> part_of(std::span<float> sum, const at::Tensor& parameter) const {
    if (!parameter.defined()) return {};
    return sum.subspan(offset_of(parameter), static_cast<std::size_t>(parameter.numel()));
  }

  // Norms add up only where each parameter is used once.
  void check(const std::vector<LayerTrace>& layers) const {
    std::size_t end = 0;
    std::vector<std::pair<std::size_t, std::size_t>> parts;
    for (const LayerTrace& layer : layers) {
      for (const at::Tensor& parameter : {layer.weight, layer.bias}) {
        if (parameter.defined()) {
          parts.emplace_back(offset_of(parameter), static_cast<std::size_t>(parameter.numel()));
        }
      }
    }
    std::ranges::sort(parts);
    for (const auto& [offset, size] : parts) {
      if (offset != end) break;
      end += size;
    }
    if (end != model_.layout()->parameter_count()) {
      throw std::logic_error("a traced model has to use each of its parameters in one layer");
    }
  }

  float loss_of_the_rest(const at::Tensor& logits, const at::Tensor& labels, std::int64_t examples) {
    std::vector<std::int64_t> rows;
    const std::int64_t each = labels.numel() / examples;
    for (std::int64_t row = 0; row < labels.numel(); ++row) {
      if (!std::ranges::binary_search(bad_, row / each)) rows.push_back(row);
    }
    if (rows.empty()) return 0;
    const at::Tensor index = at::tensor(rows, at::kLong);
    return model_.loss(logits.index_select(0, index), labels.index_select(0, index)).item<float>();
  }

  std::unique_ptr<LayerTracer> tracer_;
  std::vector<LayerProducts> products_;  // one a trace
  std::vector<float> factors_;
  std::vector<std::int64_t> bad_;
};

}  // namespace

ClippedGradients::ClippedGradients(Model& model, std::int64_t largest_part)
    : model_(model), largest_part_(largest_part), ends_(layer_ends(*model.layout())) {}

std::size_t ClippedGradients::bound_of(std::size_t offset, std::size_t bounds) const {
  if (bounds == 1) return 0;
  return static_cast<std::size_t>(std::ranges::upper_bound(ends_, offset) - ends_.begin());
}

void ClippedGradients::make_factors(std::span<const double> bounds, std::span<double> norms,
                                    std::span<float> factors, std::vector<std::int64_t>& bad) {
  const std::size_t examples = norms.size() / bounds.size();
  for (std::size_t i = 0; i < examples; ++i) {
    bool finite = true;
    for (std::size_t k = i; k < norms.size(); k += examples) {
      norms[k] = std::sqrt(norms[k]);
      finite = finite && std::isfinite(norms[k]);
    }
    if (!finite) bad.push_back(static_cast<std::int64_t>(i));
    for (std::size_t bound = 0; bound < bounds.size(); ++bound) {
      const double norm = norms[bound * examples + i];
      const double factor = norm <= bounds[bound] ? 1 : bounds[bound] / norm;
      factors[bound * examples + i] = finite ? static_cast<float>(factor) : 0;
    }
  }
}

ClippedSum ClippedGradients::compute(const at::Tensor& features, const at::Tensor& labels,
                                     std::span<const double> bounds, bool add, std::span<float> sum,
                                     std::span<double> norms) {
  const std::int64_t examples = features.size(0);
  if (bounds.size() != 1 && bounds.size() != layers()) {
    throw std::invalid_argument("one bound for the whole gradient or one for each layer is needed");
  }
  if (!std::ranges::all_of(bounds, [](double bound) { return bound > 0; })) {
    throw std::invalid_argument("a bound for gradients has to be positive");
  }
  if (examples == 0 && !add) std::ranges::fill(sum, 0.0F);
  ClippedSum all;
  double loss = 0;
  for (std::int64_t first = 0; first < examples; first += largest_part_) {
    const std::int64_t count = std::min(largest_part_, examples - first);
    const std::int64_t each = labels.numel() / examples;
    norms_.resize(bounds.size() * static_cast<std::size_t>(count));
    const ClippedSum part =
        compute_part(features.narrow(0, first, count), labels.narrow(0, first * each, count * each), bounds,
                     add || first > 0, sum, norms_);
    loss += static_cast<double>(part.loss) * static_cast<double>(count - part.not_finite);
    all.not_finite += part.not_finite;
    for (std::size_t bound = 0; bound < bounds.size() && !norms.empty(); ++bound) {
      std::copy_n(norms_.begin() + static_cast<std::ptrdiff_t>(bound) * count, count,
                  norms.begin() + static_cast<std::ptrdiff_t>(bound) * examples + first);
    }
  }
  if (all.not_finite < examples)
    all.loss = static_cast<float>(loss / static_cast<double>(examples - all.not_finite));
  return all;
}

void ClippedGradients::add_to(ClippedLot& lot, const at::Tensor& features, const at::Tensor& labels) {
  const ClippedSum part = compute(features, labels, lot.bounds_, !lot.empty_, lot.sum_);
  lot.empty_ = false;
  LotCounts& counts = lot.counts_;
  const auto before = static_cast<double>(counts.examples - counts.not_finite);
  counts.examples += features.size(0);
  counts.not_finite += part.not_finite;
  const auto now = static_cast<double>(counts.examples - counts.not_finite);
  if (now > 0) counts.loss += (static_cast<double>(part.loss) - counts.loss) * (now - before) / now;
}

std::unique_ptr<ClippedGradients> make_clipped_gradients(Model& model) {
  refuse_batch_norm(model);
  if (auto tracer = make_stack_tracer(model)) {
    return std::make_unique<TracedGradients>(model, std::move(tracer));
  }
  if (auto tracer = make_autograd_tracer(model)) {
    return std::make_unique<TracedGradients>(model, std::move(tracer));
  }
  return make_one_by_one_gradients(model);
}

}  // namespace gossamer

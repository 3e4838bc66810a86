// Gradients of a plain stack of convolutions and dense layers without autograd. Under plain SGD a dense
// layer's weight gradient is never stored: the product that would compute it adds to the weights.
#include <torch/torch.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "client/trainers/gradients.h"
#include "client/trainers/stack_kernels.h"
#include "client/trainers/stack_pass.h"

namespace gossamer {
namespace {

class StackGradients final : public Gradients {
 public:
  explicit StackGradients(Model& model) : model_(model), pass_(model), dense_(pass_.dense()) {}

  float compute(const at::Tensor& features, const at::Tensor& labels, float share, bool add) override {
    const at::NoGradGuard no_grad;
    if (gradients_.empty()) {
      for (const at::Tensor& parameter : model_.parameters()) gradients_.push_back(at::empty_like(parameter));
    }
    const float loss = pass_.forward(features, labels, share);
    const float keep = add ? 1 : 0;
    const auto use_dense = [&](std::size_t layer) {
      const StackPass::Dense& dense = dense_[layer];
      const std::size_t i = 2 * (convolutions().size() + layer);
      if (add) {
        gradients_[i].addmm_(dense.delta_t, dense.input);
      } else {
        at::mm_out(gradients_[i], dense.delta_t, dense.input);
      }
      add_rows(floats(dense.delta), keep, 1, floats(gradients_[i + 1]));
    };
    const auto use_convolution = [&](std::size_t layer, const at::Tensor& weight, const at::Tensor& bias) {
      combine(floats(gradients_[2 * layer]), keep, 1, floats(weight));
      combine(floats(gradients_[2 * layer + 1]), keep, 1, floats(bias));
    };
    backward(use_dense, use_convolution);
    return loss;
  }

  float compute_through(const at::Tensor& features, const at::Tensor& labels, float share,
                        GradientFlow& flow) override {
    const at::NoGradGuard no_grad;
    const float loss = pass_.forward(features, labels, share, &flow);
    const auto use_dense = [&](std::size_t layer) {
      const std::size_t i = 2 * (convolutions().size() + layer);
      scratch_.resize(static_cast<std::size_t>(dense_[layer].weight.size(0)));
      add_rows(floats(dense_[layer].delta), 0, 1, scratch_);
      flow.copy_in(tensor(i + 1), scratch_);
      if (const std::span<float> factors = flow.factors(tensor(i)); !factors.empty()) {
        write_factors(dense_[layer], factors);
        flow.leave();
      } else {
        weight_gradient(dense_[layer], tensor(i), flow);
      }
    };
    const auto use_convolution = [&](std::size_t layer, const at::Tensor& weight, const at::Tensor& bias) {
      flow.copy_in(tensor(2 * layer + 1), floats(bias));
      flow.copy_in(tensor(2 * layer), floats(weight));
    };
    backward(use_dense, use_convolution);
    return loss;
  }

  std::span<float> of(std::size_t i) override { return floats(gradients_[i]); }

  std::optional<float> descend(const at::Tensor& features, const at::Tensor& labels,
                               PlainDescent step) override {
    const at::NoGradGuard no_grad;
    const float loss = pass_.forward(features, labels, 1);
    const auto use_dense = [&](std::size_t layer) {
      StackPass::Dense& dense = dense_[layer];
      dense.weight.addmm_(dense.delta_t, dense.input, step.keep, -step.rate);
      add_rows(floats(dense.delta), step.keep, -step.rate, floats(dense.bias));
    };
    const auto use_convolution = [&](std::size_t layer, const at::Tensor& weight, const at::Tensor& bias) {
      combine(floats(convolutions()[layer].weight), step.keep, -step.rate, floats(weight));
      combine(floats(convolutions()[layer].bias), step.keep, -step.rate, floats(bias));
    };
    backward(use_dense, use_convolution);
    return loss;
  }

 private:
  std::vector<StackPass::Convolution>& convolutions() noexcept { return pass_.convolutions(); }

  // Dense layers go to `use_dense(layer)`, a convolution's gradients to `use_convolution(layer, weight,
  // bias)`.
  template <class UseDense, class UseConvolution>
  void backward(const UseDense& use_dense, const UseConvolution& use_convolution) {
    pass_.backward(use_dense, [&](std::size_t layer, const at::Tensor& delta) {
      const auto [below, weight, bias] = convolutions()[layer].gradients(delta, layer > 0);
      use_convolution(layer, weight, bias);
      return below;
    });
  }

  const TensorSpec& tensor(std::size_t i) const { return model_.layout()->tensors()[i]; }

  static void write_factors(const StackPass::Dense& dense, std::span<float> factors) {
    const auto rows = static_cast<std::size_t>(dense.weight.size(0));
    const auto columns = static_cast<std::size_t>(dense.weight.size(1));
    const std::span<const float> delta = floats(dense.delta), input = floats(dense.input);
    auto to = factors.begin();
    for (std::size_t example = 0; example * rows < delta.size(); ++example) {
      to = std::ranges::copy(delta.subspan(example * rows, rows), to).out;
      to = std::ranges::copy(input.subspan(example * columns, columns), to).out;
    }
  }

  // Row block by row block, each while it is in the cache where it is read next.
  void weight_gradient(const StackPass::Dense& dense, const TensorSpec& weight, GradientFlow& flow) {
    const std::int64_t columns = dense.weight.size(1);
    const auto product = [&](std::span<float> into, std::int64_t row) {
      const std::int64_t rows = static_cast<std::int64_t>(into.size()) / columns;
      at::Tensor block = at::from_blob(into.data(), {rows, columns}, at::kFloat);
      at::mm_out(block, dense.delta_t.narrow(0, row, rows), dense.input);
    };
    if (flow.step_of(weight) % static_cast<std::size_t>(columns) != 0) {  // a row is longer than a part
      scratch_.resize(weight.size);
      product(scratch_, 0);
      flow.copy_in(weight, scratch_);
      return;
    }
    flow.cut(weight, [&](std::size_t begin, std::span<float> values) {
      product(values, static_cast<std::int64_t>(begin) / columns);
    });
  }

  Model& model_;
  StackPass pass_;
  std::vector<StackPass::Dense>& dense_;
  std::vector<at::Tensor> gradients_;  // one a parameter; empty until compute() is needed
  FloatBuffer scratch_;                // of compute_through()
};

}  // namespace

std::unique_ptr<Gradients> make_stack_gradients(Model& model) {
  if (!StackPass::fits(model)) return nullptr;
  return std::make_unique<StackGradients>(model);
}

std::unique_ptr<Gradients> make_gradients(Model& model) {
  auto gradients = make_stack_gradients(model);
  return gradients ? std::move(gradients) : make_autograd_gradients(model);
}

}  // namespace gossamer

#pragma once

#include <ATen/core/Tensor.h>

#include <memory>
#include <span>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "core/layout.h"
#include "core/rng.h"

namespace gossamer {

using NamedTensors = std::vector<std::pair<std::string, at::Tensor>>;

// A layer of a network that is a plain stack: a dense layer (weight [out, in]) or a convolution of stride 1
// (weight [out, in, kernel, kernel]), then ReLU, and behind a convolution a max-pool of 2x2.
struct StackLayer {
  at::Tensor weight, bias;  // parameters of the model, in layout order: weight, bias, weight, bias, ...
  std::int64_t padding = 0;
  bool relu = false;
  bool pool = false;
};

// One use of a layer's weight in a forward pass, for gradients of single examples. Rows, images and tokens of
// one example lie side by side, and every example has as many of them.
struct LayerTrace {
  enum class Kind { dense, convolution, embedding };
  Kind kind;
  at::Tensor weight, bias;               // parameters of the model; an embedding has no bias
  std::int64_t padding = 0, stride = 1;  // of a convolution, the same along both axes
  // dense: [rows, in]; convolution: [examples, in, height, width]; embedding: token indices, [examples,
  // tokens].
  at::Tensor input{};
  // What the layer computed, before any activation, and the gradient of the examples' summed losses with
  // respect to it: [rows, out], [examples, out, height, width] or [examples, tokens, width].
  at::Tensor output{}, delta{};
};

// A torch module whose parameters and float buffers are views into one flat vector (values()), in the order
// of layout(). Reading or writing values() reads or writes the module; nothing is ever copied between them.
// Not thread-safe: one replica a trainer thread.
class Model {
 public:
  virtual ~Model() = default;
  Model(const Model&) = delete;
  Model& operator=(const Model&) = delete;

  const std::shared_ptr<const ParameterLayout>& layout() const noexcept { return layout_; }
  std::span<float> values() noexcept { return {values_.data(), values_.size()}; }
  std::span<const float> values() const noexcept { return {values_.data(), values_.size()}; }
  // Parameters and float buffers become views into `flat`, layout().size() floats on any device, which hold
  // what is there; until return_to_values(), after which they are views into values() again. Only forward(),
  // loss() and parameters() may be used in between.
  void move_to(const at::Tensor& flat);
  void return_to_values();
  // The trained tensors, views into values(), in layout order. Their gradients are undefined between steps.
  std::vector<at::Tensor>& parameters() noexcept { return parameters_; }

  // Logits, [batch, classes] or [batch * labels, classes], for a contiguous batch of features,
  // [batch, shape.features...]: floats for pixels and reals, 64-bit indices for tokens.
  virtual at::Tensor forward(const at::Tensor& features) = 0;
  // Mean loss over the labels of a batch: logits from forward(), [batch] or [batch * labels] 64-bit labels.
  virtual at::Tensor loss(const at::Tensor& logits, const at::Tensor& labels) = 0;
  // The layers of a model that is a plain stack under mean softmax cross-entropy, which a trainer can
  // differentiate without autograd; empty for any other model. Equal to forward() and loss() up to the order
  // of additions.
  virtual std::vector<StackLayer> stack() const { return {}; }
  // Whether forward_traced() works.
  virtual bool traces_layers() const { return false; }
  // forward() that takes the parameters for constants and adds to `traces`, for every use of one, its layer
  // without the delta; autograd differentiates the logits with respect to the traces' outputs. Requires that
  // gradients are enabled. Throws std::logic_error where traces_layers() is false.
  virtual at::Tensor forward_traced(const at::Tensor& features, std::vector<LayerTrace>& traces) {
    static_cast<void>(features), static_cast<void>(traces);
    throw std::logic_error("this model does not trace its layers");
  }
  // Training (the initial state) or evaluation: what dropout, random crops and batch norm do.
  virtual void set_training(bool training) = 0;
  // The stream that dropout and random crops draw from until the next call. A trainer gives one per task, so
  // that what a client draws depends neither on the thread nor on who trained on this replica before.
  void set_randomness(const Rng& rng) noexcept { randomness_ = rng; }

  // Writes the module, with its current values, as a file that Python's torch.load() (a state_dict) or, for
  // a TorchScript module, torch.jit.load() reads. An existing file is replaced as a whole or, on failure,
  // left alone. Throws RunError where it cannot be written.
  virtual void save(const std::string& path) const = 0;
  // Reads values that save() wrote, or Python for the same module. Throws FileError for a file that is
  // missing or corrupt, or whose tensors differ from this model's in name, shape or type; the model is then
  // unchanged.
  virtual void load(const std::string& path) = 0;

 protected:
  Model() = default;
  // Moves every parameter and float buffer into one flat vector and leaves views behind. Called once, by the
  // constructor of the concrete model, outside of InferenceMode.
  void adopt(const NamedTensors& parameters, const NamedTensors& buffers);
  Rng& randomness() noexcept { return randomness_; }

 private:
  std::shared_ptr<const ParameterLayout> layout_;
  FloatBuffer values_;
  std::vector<at::Tensor> tensors_;  // in layout order
  std::vector<at::Tensor> parameters_;
  Rng randomness_{0, Purpose::augmentation};
};

}  // namespace gossamer

#pragma once

#include <torch/nn/module.h>

#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "core/layout.h"

namespace gossamer {

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
  // The trained tensors, views into values(), in layout order. Their gradients are undefined between steps.
  std::vector<at::Tensor>& parameters() noexcept { return parameters_; }

  // Logits, [batch, classes] or [batch * labels, classes], for a batch of features.
  virtual at::Tensor forward(const at::Tensor& features) = 0;
  // Mean loss over the labels of a batch.
  virtual at::Tensor loss(const at::Tensor& logits, const at::Tensor& labels) = 0;
  virtual void set_training(bool training) = 0;
  // Writes the module, with its current values, as a file that Python's torch.load() (a state_dict) or, for
  // a TorchScript module, torch.jit.load() reads. Throws RunError where it cannot be written.
  virtual void save(const std::string& path) const = 0;

 protected:
  Model() = default;
  // Moves every parameter and float buffer into one flat vector and leaves views behind.
  void adopt(const std::vector<std::pair<std::string, at::Tensor>>& parameters,
             const std::vector<std::pair<std::string, at::Tensor>>& buffers);

 private:
  std::shared_ptr<const ParameterLayout> layout_;
  FloatBuffer values_;
  std::vector<at::Tensor> parameters_;
};

}  // namespace gossamer

#pragma once

#include <ATen/core/Tensor.h>

#include <memory>
#include <vector>

#include "core/model.h"

namespace gossamer {

// Forward and backward pass that ends at the layers: what their weights' gradients are made of, without
// computing these. Not thread-safe.
class LayerTracer {
 public:
  struct Batch {
    float loss = 0;  // mean over the labels
    at::Tensor logits;
    std::vector<LayerTrace> layers;  // with deltas; a layer for each weight, from the first to the last
  };

  virtual ~LayerTracer() = default;
  // Requires examples. The result is valid until the next call; the caller may move its tensors out.
  virtual Batch& trace(const at::Tensor& features, const at::Tensor& labels) = 0;
};

// Without autograd, for a model that is a plain stack; null for any other.
std::unique_ptr<LayerTracer> make_stack_tracer(Model& model);
// By autograd, for a model that traces its layers; null for any other.
std::unique_ptr<LayerTracer> make_autograd_tracer(Model& model);

}  // namespace gossamer

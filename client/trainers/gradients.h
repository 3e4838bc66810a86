#pragma once

#include <ATen/core/Tensor.h>

#include <memory>
#include <optional>
#include <span>

#include "client/optimizers/client_optimizer.h"
#include "client/trainers/gradient_flow.h"
#include "core/model.h"

namespace gossamer {

// Computes the loss of a batch and its gradient with respect to a model's parameters. Not thread-safe.
class Gradients {
 public:
  virtual ~Gradients() = default;

  // Mean loss over the labels of a batch, at the model's current values. The gradient of share * loss
  // replaces the one that is held, or is added to it.
  virtual float compute(const at::Tensor& features, const at::Tensor& labels, float share, bool add) = 0;
  // The gradient of the i-th parameter tensor, which the caller may change; valid until the next compute().
  // Empty where the loss does not depend on the tensor.
  virtual std::span<float> of(std::size_t i) = 0;
  // compute() of a whole batch, whose gradient leaves through `flow` as it is ready. What of() gives is not
  // defined after it.
  virtual float compute_through(const at::Tensor& features, const at::Tensor& labels, float share,
                                GradientFlow& flow) = 0;
  // The whole step w <- keep * w - rate * gradient, without ever storing the gradient; returns the loss
  // before it. Null where that cannot be done: then nothing has happened.
  virtual std::optional<float> descend(const at::Tensor& features, const at::Tensor& labels,
                                       PlainDescent step) {
    static_cast<void>(features), static_cast<void>(labels), static_cast<void>(step);
    return std::nullopt;
  }
};

// Lets the gradient that is held leave through `flow`, all at once.
void give_whole(Gradients& gradients, Model& model, GradientFlow& flow);

// The fastest way for this model.
std::unique_ptr<Gradients> make_gradients(Model& model);
// Without autograd, for a model that is a plain stack; null for any other.
std::unique_ptr<Gradients> make_stack_gradients(Model& model);
// By autograd, for any model.
std::unique_ptr<Gradients> make_autograd_gradients(Model& model);

}  // namespace gossamer

#pragma once

#include <ATen/core/Tensor.h>

#include <functional>
#include <string>
#include <vector>

namespace gossamer {

// Mean loss over labels: (logits [n, classes], labels [n]) -> scalar. Thread-safe.
using Loss = std::function<at::Tensor(const at::Tensor& logits, const at::Tensor& labels)>;

// What `model.loss` accepts: cross_entropy (of logits), nll (of log-probabilities), mse (against one-hot
// labels, mean over labels and classes).
std::vector<std::string> loss_names();
// Requires a name of loss_names().
Loss find_loss(const std::string& name);

}  // namespace gossamer

#include "client/models/losses.h"

#include <torch/torch.h>

#include <stdexcept>

#include "client/models/layers.h"

namespace gossamer {
namespace {

at::Tensor nll(const at::Tensor& log_probabilities, const at::Tensor& labels) {
  return at::nll_loss(log_probabilities, labels);
}

at::Tensor mse(const at::Tensor& outputs, const at::Tensor& labels) {
  const at::Tensor targets =
      at::zeros(outputs.sizes(), outputs.options()).scatter_(1, labels.unsqueeze(1), 1.0);
  return at::mse_loss(outputs, targets);
}

struct NamedLoss {
  const char* name;
  at::Tensor (*compute)(const at::Tensor&, const at::Tensor&);
};
constexpr NamedLoss kLosses[] = {{"cross_entropy", softmax_cross_entropy}, {"mse", mse}, {"nll", nll}};

}  // namespace

std::vector<std::string> loss_names() {
  std::vector<std::string> names;
  for (const NamedLoss& loss : kLosses) names.emplace_back(loss.name);
  return names;
}

Loss find_loss(const std::string& name) {
  for (const NamedLoss& loss : kLosses) {
    if (name == loss.name) return loss.compute;
  }
  throw std::logic_error("no loss is called " + name);
}

}  // namespace gossamer

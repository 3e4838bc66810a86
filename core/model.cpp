#include "core/model.h"

#include <torch/torch.h>

#include <cstring>

namespace gossamer {

void Model::adopt(const NamedTensors& parameters, const NamedTensors& buffers) {
  std::vector<TensorSpec> specs;
  for (const auto& [name, tensor] : parameters) {
    specs.push_back({name, tensor.sizes().vec(), 0, 0, TensorRole::parameter});
    tensors_.push_back(tensor);
  }
  for (const auto& [name, tensor] : buffers) {
    specs.push_back({name, tensor.sizes().vec(), 0, 0, TensorRole::buffer});
    tensors_.push_back(tensor);
  }
  layout_ = std::make_shared<const ParameterLayout>(std::move(specs));
  values_.resize(layout_->size());

  const at::NoGradGuard no_grad;
  for (std::size_t i = 0; i < tensors_.size(); ++i) {
    const TensorSpec& spec = layout_->tensors()[i];
    const at::Tensor original = tensors_[i].detach().contiguous();
    if (spec.size > 0)
      std::memcpy(values_.data() + spec.offset, original.data_ptr<float>(), spec.size * sizeof(float));
    if (spec.role == TensorRole::parameter) parameters_.push_back(tensors_[i]);
  }
  return_to_values();
}

void Model::move_to(const at::Tensor& flat) {
  const at::NoGradGuard no_grad;
  for (std::size_t i = 0; i < tensors_.size(); ++i) {
    const TensorSpec& spec = layout_->tensors()[i];
    const auto offset = static_cast<std::int64_t>(spec.offset), size = static_cast<std::int64_t>(spec.size);
    // A gradient would be of the other device.
    if (tensors_[i].requires_grad()) tensors_[i].mutable_grad().reset();
    tensors_[i].set_data(flat.narrow(0, offset, size).view(spec.shape));
  }
}

void Model::return_to_values() {
  const at::NoGradGuard no_grad;
  for (std::size_t i = 0; i < tensors_.size(); ++i) {
    const TensorSpec& spec = layout_->tensors()[i];
    if (tensors_[i].requires_grad()) tensors_[i].mutable_grad().reset();
    tensors_[i].set_data(at::from_blob(values_.data() + spec.offset, spec.shape, at::kFloat));
  }
}

}  // namespace gossamer

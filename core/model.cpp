#include "core/model.h"

#include <torch/torch.h>

#include <cstring>

namespace gossamer {

void Model::adopt(const NamedTensors& parameters, const NamedTensors& buffers) {
  std::vector<TensorSpec> specs;
  std::vector<at::Tensor> tensors;
  for (const auto& [name, tensor] : parameters) {
    specs.push_back({name, tensor.sizes().vec(), 0, 0, TensorRole::parameter});
    tensors.push_back(tensor);
  }
  for (const auto& [name, tensor] : buffers) {
    specs.push_back({name, tensor.sizes().vec(), 0, 0, TensorRole::buffer});
    tensors.push_back(tensor);
  }
  layout_ = std::make_shared<const ParameterLayout>(std::move(specs));
  values_.resize(layout_->size());

  const at::NoGradGuard no_grad;
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    const TensorSpec& spec = layout_->tensors()[i];
    const at::Tensor original = tensors[i].detach().contiguous();
    if (spec.size > 0)
      std::memcpy(values_.data() + spec.offset, original.data_ptr<float>(), spec.size * sizeof(float));
    const at::Tensor view = at::from_blob(values_.data() + spec.offset, spec.shape, at::kFloat);
    tensors[i].set_data(view);
    if (spec.role == TensorRole::parameter) parameters_.push_back(tensors[i]);
  }
}

}  // namespace gossamer

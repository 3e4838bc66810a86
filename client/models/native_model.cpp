#include "client/models/native_model.h"

#include <torch/torch.h>

#include <cmath>
#include <cstring>

#include "client/models/layers.h"
#include "client/models/model_file.h"
#include "core/error.h"

namespace gossamer {
namespace {

double default_bound(std::int64_t fan_in) { return 1.0 / std::sqrt(static_cast<double>(fan_in)); }

}  // namespace

NativeModel::NativeModel(const Options& options)
    : seed_(static_cast<std::uint64_t>(options.integer("run.seed"))),
      loss_(find_loss(options.text("model.loss"))),
      cross_entropy_(options.text("model.loss") == "cross_entropy") {}

Rng NativeModel::next_stream() { return {seed_, Purpose::model_init, parameters_.size()}; }

at::Tensor NativeModel::declare(const std::string& name, at::Tensor tensor) {
  tensor.set_requires_grad(true);
  parameters_.emplace_back(name, tensor);
  state_.emplace_back(name, tensor);
  return tensor;
}

at::Tensor NativeModel::uniform(const std::string& name, std::vector<std::int64_t> shape, double bound) {
  Rng rng = next_stream();
  at::Tensor tensor = at::empty(shape, at::kFloat);
  float* values = tensor.data_ptr<float>();
  for (std::int64_t i = 0; i < tensor.numel(); ++i) {
    values[i] = static_cast<float>(bound * (2.0 * static_cast<double>(rng.uniform_float()) - 1.0));
  }
  return declare(name, tensor);
}

at::Tensor NativeModel::normal(const std::string& name, std::vector<std::int64_t> shape) {
  Rng rng = next_stream();
  at::Tensor tensor = at::empty(shape, at::kFloat);
  float* values = tensor.data_ptr<float>();
  for (std::int64_t i = 0; i < tensor.numel(); ++i) values[i] = static_cast<float>(rng.normal());
  return declare(name, tensor);
}

at::Tensor NativeModel::constant(const std::string& name, std::vector<std::int64_t> shape, float value) {
  return declare(name, at::full(shape, value, at::kFloat));
}

at::Tensor NativeModel::buffer(const std::string& name, std::vector<std::int64_t> shape, float value) {
  at::Tensor tensor = at::full(shape, value, at::kFloat);
  buffers_.emplace_back(name, tensor);
  state_.emplace_back(name, tensor);
  return tensor;
}

at::Tensor NativeModel::counter(const std::string& name) {
  at::Tensor tensor = at::zeros({}, at::kLong);
  state_.emplace_back(name, tensor);
  return tensor;
}

NativeModel::Layer NativeModel::dense_layer(const std::string& name, std::int64_t in, std::int64_t out) {
  const double bound = default_bound(in);
  at::Tensor weight = uniform(name + ".weight", {out, in}, bound);
  return {weight, uniform(name + ".bias", {out}, bound)};
}

NativeModel::Layer NativeModel::convolution_layer(const std::string& name, std::int64_t in, std::int64_t out,
                                                  std::int64_t kernel) {
  const double bound = default_bound(in * kernel * kernel);
  at::Tensor weight = uniform(name + ".weight", {out, in, kernel, kernel}, bound);
  return {weight, uniform(name + ".bias", {out}, bound)};
}

at::Tensor NativeModel::forward_traced(const at::Tensor& features, std::vector<LayerTrace>& traces) {
  struct Scope {
    NativeModel& model;
    ~Scope() { model.traces_ = nullptr; }
  };
  const Scope scope{*this};
  traces_ = &traces;
  return forward(features);
}

at::Tensor NativeModel::note(LayerTrace trace) const {
  // What depends on no earlier layer is where the graph begins.
  if (!trace.output.requires_grad()) trace.output.set_requires_grad(true);
  trace.input = trace.input.detach();
  traces_->push_back(trace);
  return trace.output;
}

at::Tensor NativeModel::apply_dense(const at::Tensor& x, const Layer& layer) const {
  if (!tracing()) return dense(x, layer.weight, layer.bias);
  return note({.kind = LayerTrace::Kind::dense,
               .weight = layer.weight,
               .bias = layer.bias,
               .input = x,
               .output = at::addmm(layer.bias.detach(), x, layer.weight.detach().t())});
}

at::Tensor NativeModel::apply_dense_relu(const at::Tensor& x, const Layer& layer) const {
  return tracing() ? apply_dense(x, layer).relu() : dense_relu(x, layer.weight, layer.bias);
}

at::Tensor NativeModel::apply_convolution(const at::Tensor& x, const Layer& layer, std::int64_t padding,
                                          std::int64_t stride) const {
  if (!tracing()) return at::conv2d(x, layer.weight, layer.bias, stride, padding);
  return note({.kind = LayerTrace::Kind::convolution,
               .weight = layer.weight,
               .bias = layer.bias,
               .padding = padding,
               .stride = stride,
               .input = x,
               .output = at::conv2d(x, layer.weight.detach(), layer.bias.detach(), stride, padding)});
}

at::Tensor NativeModel::apply_convolution_relu(const at::Tensor& x, const Layer& layer) const {
  const at::Tensor y = apply_convolution(x, layer);
  return tracing() ? y.relu() : y.relu_();  // a traced output stays as it is
}

at::Tensor NativeModel::apply_embedding(const at::Tensor& tokens, const at::Tensor& weight) const {
  if (!tracing()) return at::embedding(weight, tokens);
  return note({.kind = LayerTrace::Kind::embedding,
               .weight = weight,
               .bias = {},
               .input = tokens,
               .output = at::embedding(weight.detach(), tokens)});
}

void NativeModel::seal() { adopt(parameters_, buffers_); }

void NativeModel::save(const std::string& path) const { save_state_dict(path, state_); }

void NativeModel::load(const std::string& path) { load_state_dict(path, state_); }

ImageExtents image_extents(const std::string& model, const ExampleShape& shape, std::int64_t smallest) {
  const std::vector<std::int64_t>& extents = shape.features;
  ImageExtents image{0, 0, 0};
  if (shape.kind != FeatureKind::tokens && extents.size() == 2) image = {1, extents[0], extents[1]};
  if (shape.kind != FeatureKind::tokens && extents.size() == 3) image = {extents[0], extents[1], extents[2]};
  if (image.height < smallest || image.width < smallest) {
    throw ConfigError("model.name = " + model + " reads images of at least " + std::to_string(smallest) +
                      "x" + std::to_string(smallest) + " pixels, which the examples of data.dataset are not");
  }
  return image;
}

void require_one_label(const std::string& model, const ExampleShape& shape) {
  if (shape.kind == FeatureKind::tokens || shape.labels != 1) {
    throw ConfigError("model.name = " + model +
                      " reads numbers with one label an example; text takes char_lstm");
  }
}

}  // namespace gossamer

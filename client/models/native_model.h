#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "client/datasets/dataset.h"
#include "client/models/losses.h"
#include "core/model.h"
#include "core/options.h"

namespace gossamer {

// Base of the models written here. A model declares its tensors in its constructor, with the names that the
// same network has as a Python module, calls seal(), and computes forward() with plain functions on them.
class NativeModel : public Model {
 public:
  at::Tensor loss(const at::Tensor& logits, const at::Tensor& labels) override {
    return loss_(logits, labels);
  }
  std::vector<StackLayer> stack() const final {
    return cross_entropy_ ? layers() : std::vector<StackLayer>{};
  }
  bool traces_layers() const override { return true; }
  at::Tensor forward_traced(const at::Tensor& features, std::vector<LayerTrace>& traces) override;
  void set_training(bool training) override { training_ = training; }
  void save(const std::string& path) const override;
  void load(const std::string& path) override;

 protected:
  // Reads run.seed and model.loss.
  explicit NativeModel(const Options& options);

  // A parameter drawn from U(-bound, bound), N(0, 1) or set to a constant. Each tensor has a random stream of
  // its own, named by its position, so that values depend on run.seed alone.
  at::Tensor uniform(const std::string& name, std::vector<std::int64_t> shape, double bound);
  at::Tensor normal(const std::string& name, std::vector<std::int64_t> shape);
  at::Tensor constant(const std::string& name, std::vector<std::int64_t> shape, float value);
  // A float buffer, and an integer counter that stays out of the flat vector.
  at::Tensor buffer(const std::string& name, std::vector<std::int64_t> shape, float value);
  at::Tensor counter(const std::string& name);

  // A dense layer [out, in] or a convolution [out, in, kernel, kernel], as <name>.weight and <name>.bias,
  // both from U(-1/sqrt(fan_in), 1/sqrt(fan_in)): PyTorch's default.
  struct Layer {
    at::Tensor weight, bias;
  };
  Layer dense_layer(const std::string& name, std::int64_t in, std::int64_t out);
  Layer convolution_layer(const std::string& name, std::int64_t in, std::int64_t out, std::int64_t kernel);

  // How forward() applies its layers; see layers.h. Traced where forward_traced() calls it.
  at::Tensor apply_dense(const at::Tensor& x, const Layer& layer) const;
  at::Tensor apply_dense_relu(const at::Tensor& x, const Layer& layer) const;
  at::Tensor apply_convolution(const at::Tensor& x, const Layer& layer, std::int64_t padding = 0,
                               std::int64_t stride = 1) const;
  at::Tensor apply_convolution_relu(const at::Tensor& x, const Layer& layer) const;
  // [n, tokens] indices -> [n, tokens, width].
  at::Tensor apply_embedding(const at::Tensor& tokens, const at::Tensor& weight) const;
  // A trace is being made: layers of another kind are computed from constant weights, and noted.
  bool tracing() const noexcept { return traces_ != nullptr; }
  // Returns trace.output, which autograd can differentiate with respect to.
  at::Tensor note(LayerTrace trace) const;

  // What forward() computes, where that is a plain stack.
  virtual std::vector<StackLayer> layers() const { return {}; }

  // Turns the declared tensors into views of the flat vector.
  void seal();
  bool training() const noexcept { return training_; }

 private:
  Rng next_stream();
  at::Tensor declare(const std::string& name, at::Tensor tensor);

  std::uint64_t seed_;
  Loss loss_;
  bool cross_entropy_;
  bool training_ = true;
  std::vector<LayerTrace>* traces_ = nullptr;  // of forward_traced(), during its call
  NamedTensors parameters_;
  NamedTensors buffers_;
  NamedTensors state_;  // everything, in the order of declaration: the state_dict
};

// The extents of an image, {channels, height, width}. Throws ConfigError, naming the model, where examples
// are not images of at least `smallest` x `smallest` pixels; {height, width} counts as one channel.
struct ImageExtents {
  std::int64_t channels, height, width;
};
ImageExtents image_extents(const std::string& model, const ExampleShape& shape, std::int64_t smallest);
// Throws ConfigError, naming the model, for examples of tokens or with several labels.
void require_one_label(const std::string& model, const ExampleShape& shape);

}  // namespace gossamer

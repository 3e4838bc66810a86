// Any TorchScript module as a model: what torch.jit.script(module).save("model.pt") wrote.
#include <torch/csrc/jit/runtime/graph_executor.h>
#include <torch/script.h>
#include <torch/torch.h>

#include <map>
#include <sstream>

#include "client/models/losses.h"
#include "client/models/methods.h"
#include "client/models/model_file.h"
#include "core/error.h"

namespace gossamer {
namespace {

// LibTorch's messages carry a stack trace after their first line.
std::string first_line(const std::exception& error) {
  const std::string text = error.what();
  return text.substr(0, text.find('\n'));
}

torch::jit::Module load_module(const std::string& path) {
  std::istringstream bytes(read_file(path));
  try {
    return torch::jit::load(bytes, at::Device(at::kCPU));
  } catch (const std::exception&) {
    throw FileError(path + ": is not a TorchScript module as torch.jit.save() writes it");
  }
}

// Tied tensors come out of a file as two that share one storage. They have to be one again, or each would
// become a view of its own and gather gradients of its own.
void tie_shared_parameters(torch::jit::Module& module) {
  std::map<const void*, at::Tensor> seen;
  for (torch::jit::Module part : module.modules()) {
    for (const auto& slot : part.named_parameters(/*recurse=*/false)) {
      if (slot.value.numel() == 0) continue;
      const auto [first, is_new] = seen.emplace(slot.value.data_ptr(), slot.value);
      if (!is_new && first->second.sizes() == slot.value.sizes()) part.setattr(slot.name, first->second);
    }
  }
}

struct State {
  NamedTensors parameters, buffers, all;
};

// The tensors of a module: frozen parameters count as buffers, integer buffers are in `all` only.
State state_of(const torch::jit::Module& module, const std::string& path) {
  State state;
  std::vector<const at::TensorImpl*> seen;
  const auto add = [&](const std::string& name, const at::Tensor& tensor, bool parameter) {
    for (const at::TensorImpl* other : seen) {
      if (other == tensor.unsafeGetTensorImpl()) return;
    }
    seen.push_back(tensor.unsafeGetTensorImpl());
    state.all.emplace_back(name, tensor);
    const bool integer = at::isIntegralType(tensor.scalar_type(), /*includeBool=*/true);
    if (!parameter && integer) return;
    if (tensor.scalar_type() != at::kFloat || tensor.layout() != at::kStrided) {
      throw FileError(path + ": tensor " + name + " is " + c10::toString(tensor.scalar_type()) +
                      "; a model's parameters and buffers have to be dense 32-bit floats");
    }
    (parameter && tensor.requires_grad() ? state.parameters : state.buffers).emplace_back(name, tensor);
  };
  for (const auto& item : module.named_parameters()) add(item.name, item.value, true);
  for (const auto& item : module.named_buffers()) add(item.name, item.value, false);
  return state;
}

class ScriptModel final : public Model {
 public:
  ScriptModel(const Options& options, const ExampleShape& shape)
      : path_(options.text("model.file")),
        module_(load_module(path_)),
        loss_(find_loss(options.text("model.loss"))) {
    tie_shared_parameters(module_);
    const State state = state_of(module_, path_);
    if (state.parameters.empty()) throw FileError(path_ + ": has no parameters to train");
    adopt(state.parameters, state.buffers);
    state_ = state.all;
    check_output(shape);
    set_training(true);
  }

  at::Tensor forward(const at::Tensor& features) override {
    // The optimising executor rewrites a graph after its first runs, so that a result would depend on how
    // often this replica ran before. The flag is the calling thread's.
    const torch::jit::GraphOptimizerEnabledGuard plain_execution(false);
    at::Tensor output = module_.forward({features}).toTensor();
    return output.dim() == 2 ? output : output.reshape({-1, output.size(-1)});
  }

  at::Tensor loss(const at::Tensor& logits, const at::Tensor& labels) override {
    return loss_(logits, labels);
  }
  void set_training(bool training) override {
    for (torch::jit::Module part : module_.modules()) {
      if (part.hasattr("training")) part.setattr("training", training);
    }
  }

  void save(const std::string& path) const override {
    std::ostringstream bytes;
    module_.save(bytes);
    replace_file(path, bytes.str());
  }

  void load(const std::string& path) override {
    copy_state(path, state_of(load_module(path), path).all, state_);
  }

 private:
  // A module that does not fit the data is refused here, in one line, not in the middle of a run.
  void check_output(const ExampleShape& shape) {
    constexpr std::int64_t kBatch = 2;
    std::vector<std::int64_t> extents{kBatch};
    extents.insert(extents.end(), shape.features.begin(), shape.features.end());
    const at::NoGradGuard no_grad;
    set_training(false);
    at::Tensor output;
    try {
      output = forward(at::zeros(extents, shape.kind == FeatureKind::tokens ? at::kLong : at::kFloat));
    } catch (const std::exception& error) {
      std::ostringstream text;
      text << path_ << ": forward() fails on a batch of " << at::IntArrayRef(extents) << ": "
           << first_line(error);
      throw FileError(text.str());
    }
    if (output.dim() != 2 || output.size(0) != kBatch * shape.labels || output.size(1) < shape.classes) {
      std::ostringstream text;
      text << path_ << ": forward() gives " << output.sizes() << " for " << kBatch * shape.labels
           << " labels of " << shape.classes << " classes; it has to give [labels, classes]";
      throw FileError(text.str());
    }
  }

  std::string path_;
  torch::jit::Module module_;
  Loss loss_;
  NamedTensors state_;
};

}  // namespace

std::unique_ptr<Model> make_script_model(const Options& options, const ExampleShape& shape) {
  return std::make_unique<ScriptModel>(options, shape);
}

}  // namespace gossamer

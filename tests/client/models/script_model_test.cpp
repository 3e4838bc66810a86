#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/script.h>

#include <filesystem>
#include <fstream>
#include <thread>

#include "core/error.h"
#include "tests/client/models/support.h"

namespace gossamer {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

using testing::batch_of;
using testing::copy;
using testing::images;
using testing::model_options;
using testing::step;

// A folder that is gone after the test.
class ScriptModel : public ::testing::Test {
 protected:
  ScriptModel() {
    std::string name = (std::filesystem::temp_directory_path() / "gossamer-script-XXXXXX").string();
    folder_ = ::mkdtemp(name.data());
    at::manual_seed(4);
  }
  ~ScriptModel() override { std::filesystem::remove_all(folder_); }

  std::string path(const std::string& name) const { return (folder_ / name).string(); }

  static at::Tensor parameter(std::vector<std::int64_t> shape) {
    return (at::randn(shape) * 0.1).set_requires_grad(true);
  }

  // Two dense layers with a batch norm between them, as a Python user would script it.
  std::string save_network(const std::string& name) const {
    torch::jit::Module norm("Norm");
    norm.register_attribute("training", c10::BoolType::get(), true);
    norm.register_parameter("weight", at::ones({16}).set_requires_grad(true), false);
    norm.register_parameter("bias", at::zeros({16}).set_requires_grad(true), false);
    norm.register_buffer("running_mean", at::zeros({16}));
    norm.register_buffer("running_var", at::ones({16}));
    norm.register_buffer("num_batches_tracked", at::zeros({}, at::kLong));
    norm.define(R"(
      def forward(self, x):
        if self.training:
          self.num_batches_tracked.add_(1)
        return torch.batch_norm(x, self.weight, self.bias, self.running_mean, self.running_var, self.training,
                                0.1, 1e-05, False)
    )");
    torch::jit::Module module("Network");
    module.register_attribute("training", c10::BoolType::get(), true);
    module.register_parameter("w1", parameter({16, 784}), false);
    module.register_parameter("w2", parameter({10, 16}), false);
    module.register_module("norm", norm);
    module.define(R"(
      def forward(self, x):
        h = torch.relu(self.norm.forward(torch.matmul(torch.flatten(x, 1), self.w1.t())))
        return torch.matmul(h, self.w2.t())
    )");
    module.save(path(name));
    return path(name);
  }

  std::string save_module(torch::jit::Module& module, const std::string& forward) const {
    module.define("def forward(self, x):\n" + forward);
    module.save(path("module.pt"));
    return path("module.pt");
  }

  static std::unique_ptr<Model> load(const std::string& file) {
    return make_model(model_options({{"model.file", file}}), images(1, 28));
  }
  static std::string refusal(const std::string& file) {
    try {
      load(file);
    } catch (const FileError& error) {
      return error.what();
    }
    return "";
  }

  std::filesystem::path folder_;
};

TEST_F(ScriptModel, TrainsThroughTheFlatValues) {
  const auto model = load(save_network("network.pt"));
  EXPECT_EQ(model->layout()->parameter_count(), 16U * 784 + 160 + 32);
  EXPECT_EQ(model->layout()->size() - model->layout()->parameter_count(), 32U);
  const auto batch = batch_of(images(1, 28), 8);
  const std::vector<float> before = copy(*model);
  const float first = step(*model, batch, 0.1F);
  float last = first;
  for (int i = 0; i < 30; ++i) last = step(*model, batch, 0.1F);
  EXPECT_LT(last, 0.5 * first);
  // The running statistics moved too, in the flat values.
  const std::size_t end = model->layout()->parameter_count();
  EXPECT_FALSE(std::equal(before.begin() + static_cast<std::ptrdiff_t>(end), before.end(),
                          model->values().begin() + static_cast<std::ptrdiff_t>(end)));
}

TEST_F(ScriptModel, TrainsTheSameOnAUsedReplicaAndOnAnotherThread) {
  const std::string file = save_network("network.pt");
  const auto batch = batch_of(images(1, 28), 8);
  const auto train = [&](Model& model) {
    for (int i = 0; i < 5; ++i) step(model, batch, 0.1F);
    return copy(model);
  };
  const auto used = load(file);
  const std::vector<float> start = copy(*used);
  train(*used);
  std::copy(start.begin(), start.end(), used->values().begin());
  const std::vector<float> again = train(*used);
  std::vector<float> fresh;
  std::jthread([&] { fresh = train(*load(file)); }).join();
  EXPECT_EQ(again, fresh);
}

TEST_F(ScriptModel, SavesAModuleThatLoadsWithItsValues) {
  const auto model = load(save_network("network.pt"));
  step(*model, batch_of(images(1, 28), 4), 0.1F);
  model->save(path("trained.pt"));
  EXPECT_EQ(copy(*load(path("trained.pt"))), copy(*model));

  const auto other = load(path("network.pt"));
  EXPECT_NE(copy(*other), copy(*model));
  other->load(path("trained.pt"));
  EXPECT_EQ(copy(*other), copy(*model));
}

TEST_F(ScriptModel, TiedParametersStayOne) {
  torch::jit::Module module("Tied");
  const at::Tensor weight = parameter({784, 784});
  module.register_parameter("encoder", weight, false);
  module.register_parameter("decoder", weight, false);
  module.register_parameter("head", parameter({10, 784}), false);
  const auto model = load(save_module(module, R"(
        h = torch.matmul(torch.flatten(x, 1), self.encoder)
        return torch.matmul(torch.matmul(h, self.decoder.t()), self.head.t())
  )"));
  EXPECT_EQ(model->layout()->parameter_count(), 784U * 784 + 7'840);
  step(*model, batch_of(images(1, 28), 4), 0.01F);
  model->save(path("trained.pt"));
  const torch::jit::Module saved = torch::jit::load(path("trained.pt"));
  EXPECT_TRUE(at::equal(saved.attr("encoder").toTensor(), saved.attr("decoder").toTensor()));
}

TEST_F(ScriptModel, FrozenParametersAreNotTrained) {
  torch::jit::Module module("Frozen");
  module.register_parameter("fixed", parameter({20, 784}).detach(), false);
  module.register_parameter("head", parameter({10, 20}), false);
  const auto model = load(save_module(module, R"(
        return torch.matmul(torch.matmul(torch.flatten(x, 1), self.fixed.t()), self.head.t())
  )"));
  EXPECT_EQ(model->layout()->parameter_count(), 200U);
  EXPECT_EQ(model->layout()->size(), 200U + 15'680);
}

TEST_F(ScriptModel, MissingAndCorruptFilesAreRefusedInOneLine) {
  EXPECT_THAT(refusal(path("absent.pt")), AllOf(HasSubstr("absent.pt"), HasSubstr("No such file")));
  std::ofstream(path("rubbish.pt")) << "not a module";
  EXPECT_THAT(refusal(path("rubbish.pt")), AllOf(HasSubstr("rubbish.pt"), HasSubstr("TorchScript")));
  const std::string whole = save_network("network.pt");
  std::filesystem::copy_file(whole, path("cut.pt"));
  std::filesystem::resize_file(path("cut.pt"), std::filesystem::file_size(whole) / 2);
  EXPECT_THAT(refusal(path("cut.pt")), AllOf(HasSubstr("cut.pt"), Not(HasSubstr("\n"))));
  EXPECT_THAT(refusal(folder_.string()), HasSubstr("not a regular file"));
}

TEST_F(ScriptModel, ModulesThatCannotTrainAreRefused) {
  {
    torch::jit::Module module("Doubles");
    module.register_parameter("w", parameter({10, 784}).detach().to(at::kDouble).set_requires_grad(true),
                              false);
    EXPECT_THAT(
        refusal(save_module(module, "        return torch.matmul(torch.flatten(x, 1), self.w.t())\n")),
        AllOf(HasSubstr("tensor w is Double"), HasSubstr("32-bit")));
  }
  {
    torch::jit::Module module("Empty");
    EXPECT_THAT(refusal(save_module(module, "        return torch.flatten(x, 1)\n")),
                HasSubstr("no parameters"));
  }
  {
    torch::jit::Module module("Narrow");
    module.register_parameter("w", parameter({3, 784}), false);
    EXPECT_THAT(
        refusal(save_module(module, "        return torch.matmul(torch.flatten(x, 1), self.w.t())\n")),
        AllOf(HasSubstr("[2, 3]"), HasSubstr("10 classes")));
  }
  {
    torch::jit::Module module("OtherInput");
    module.register_parameter("w", parameter({10, 100}), false);
    EXPECT_THAT(
        refusal(save_module(module, "        return torch.matmul(torch.flatten(x, 1), self.w.t())\n")),
        AllOf(HasSubstr("[2, 1, 28, 28]"), Not(HasSubstr("\n"))));
  }
}

}  // namespace
}  // namespace gossamer

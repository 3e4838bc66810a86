#include "client/models/model_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <array>
#include <csignal>
#include <cstdio>
#include <filesystem>
#include <fstream>

#include "core/error.h"
#include "tests/client/models/support.h"

namespace gossamer {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

using testing::copy;
using testing::make;

class ModelFile : public ::testing::TestWithParam<std::string> {
 protected:
  ModelFile() {
    std::string name = (std::filesystem::temp_directory_path() / "gossamer-model-XXXXXX").string();
    folder_ = ::mkdtemp(name.data());
  }
  ~ModelFile() override { std::filesystem::remove_all(folder_); }
  std::string path(const std::string& name) const { return (folder_ / name).string(); }

  static std::string refusal(Model& model, const std::string& file) {
    const std::vector<float> before = copy(model);
    std::string message;
    try {
      model.load(file);
    } catch (const FileError& error) {
      message = error.what();
    }
    EXPECT_EQ(copy(model), before);
    return message;
  }

  // What a Python program with torch prints, or nothing where there is none.
  struct Output {
    int status;
    std::string text;
  };
  Output python(const std::string& program) const {
    std::ofstream(path("program.py")) << program;
    const std::string command = "/usr/bin/python3 '" + path("program.py") + "' 2>&1";
    std::FILE* pipe = ::popen(command.c_str(), "r");
    std::string text;
    std::array<char, 4096> buffer{};
    for (std::size_t n = 0; (n = std::fread(buffer.data(), 1, buffer.size(), pipe)) > 0;)
      text.append(buffer.data(), n);
    return {::pclose(pipe), text};
  }
  bool has_python_torch() const {
    return python("import importlib.util, sys\nsys.exit(importlib.util.find_spec('torch') is None)").status ==
           0;
  }

  std::filesystem::path folder_;
};

// No file of this process grows beyond `bytes`, as on a disk that is full.
class SmallFiles {
 public:
  explicit SmallFiles(rlim_t bytes) : handler_(std::signal(SIGXFSZ, SIG_IGN)) {
    ::getrlimit(RLIMIT_FSIZE, &before_);
    const rlimit limit{bytes, before_.rlim_max};
    ::setrlimit(RLIMIT_FSIZE, &limit);
  }
  ~SmallFiles() {
    ::setrlimit(RLIMIT_FSIZE, &before_);
    std::signal(SIGXFSZ, handler_);
  }
  SmallFiles(const SmallFiles&) = delete;
  SmallFiles& operator=(const SmallFiles&) = delete;

 private:
  void (*handler_)(int);
  rlimit before_{};
};

class EveryModelFile : public ModelFile {};
INSTANTIATE_TEST_SUITE_P(Models, EveryModelFile, ::testing::ValuesIn(models().names()),
                         [](const auto& test) { return test.param; });

TEST_P(EveryModelFile, ComesBackAsItWasSaved) {
  const auto saved = make(GetParam(), "1");
  saved->save(path("model.pt"));
  const auto loaded = make(GetParam(), "2");
  ASSERT_NE(copy(*loaded), copy(*saved));
  loaded->load(path("model.pt"));
  EXPECT_EQ(copy(*loaded), copy(*saved));
  // Not the whole flat vector behind every tensor.
  EXPECT_LT(std::filesystem::file_size(path("model.pt")), saved->values().size_bytes() * 1.05 + 65'536);
}

// Python reads every tensor under its name with its values, and what Python saves comes back.
TEST_P(EveryModelFile, IsAStateDictForPython) {
  if (!has_python_torch()) GTEST_SKIP() << "no python3-torch on this machine";
  const auto model = make(GetParam());
  model->save(path("model.pt"));
  std::ofstream flat(path("flat.bin"), std::ios::binary);
  std::string expected;
  for (const TensorSpec& tensor : model->layout()->tensors()) {
    expected += tensor.name;
    for (std::int64_t extent : tensor.shape) expected += ' ' + std::to_string(extent);
    expected += '\n';
  }
  flat.write(reinterpret_cast<const char*>(model->values().data()),
             static_cast<std::streamsize>(model->values().size_bytes()));
  flat.close();
  const Output output = python(R"(
import array, collections, torch
state = torch.load(')" + path("model.pt") +
                               R"(')
assert isinstance(state, dict), type(state)
flat = array.array('f')
with open(')" + path("flat.bin") +
                               R"(', 'rb') as f:
    flat.frombytes(f.read())
flat = torch.tensor(flat)
offset = 0
floats = [(k, v) for k, v in state.items() if v.dtype == torch.float32]
buffers = ('running_mean', 'running_var')
for name, tensor in [x for x in floats if not x[0].endswith(buffers)] + [x for x in floats if x[0].endswith(buffers)]:
    assert not tensor.requires_grad
    assert torch.equal(tensor.flatten(), flat[offset:offset + tensor.numel()]), name
    offset += tensor.numel()
    print(' '.join([name] + [str(n) for n in tensor.shape]))
assert offset == flat.numel()
for name, tensor in state.items():
    if tensor.dtype != torch.float32:
        assert name.endswith('num_batches_tracked') and tensor.dtype == torch.int64 and tensor.shape == ()
torch.save(collections.OrderedDict((k, v + 1) for k, v in state.items()), ')" +
                               path("python.pt") + R"(')
)");
  ASSERT_EQ(output.status, 0) << output.text;
  EXPECT_EQ(output.text, expected);

  std::vector<float> plus_one = copy(*model);
  for (float& value : plus_one) value += 1;
  model->load(path("python.pt"));
  EXPECT_EQ(copy(*model), plus_one);
}

// The names are those of the same network as a Python module, so a strict load_state_dict() takes the file.
TEST_F(ModelFile, FitsPythonModulesStrictly) {
  if (!has_python_torch()) GTEST_SKIP() << "no python3-torch on this machine";
  const auto cnn = make("cnn");
  const auto lstm = make("char_lstm");
  cnn->save(path("cnn.pt"));
  lstm->save(path("lstm.pt"));
  cnn->set_training(false);
  const ExampleShape shape = testing::shape_for("cnn");
  const double cnn_sum = cnn->forward(at::ones({1, 1, 28, 28})).abs().sum().item<double>();
  const double lstm_sum = lstm->forward(at::arange(12).view({1, 12})).abs().sum().item<double>();
  const Output output = python(R"(
import torch
from torch import nn
import torch.nn.functional as F
class Cnn(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(1, 32, 5, padding=2), nn.Conv2d(32, 64, 5, padding=2)
        self.fc1, self.fc2 = nn.Linear(3136, 512), nn.Linear(512, 10)
    def forward(self, x):
        x = F.max_pool2d(F.relu(self.conv1(x)), 2)
        x = F.max_pool2d(F.relu(self.conv2(x)), 2)
        return self.fc2(F.relu(self.fc1(x.flatten(1))))
class Lstm(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding, self.lstm, self.fc = nn.Embedding(30, 8), nn.LSTM(8, 256, 2, batch_first=True), nn.Linear(256, 30)
    def forward(self, x):
        return self.fc(self.lstm(self.embedding(x))[0]).view(-1, 30)
for module, file, x in (Cnn(), 'cnn.pt', torch.ones(1, 1, 28, 28)), (Lstm(), 'lstm.pt', torch.arange(12).view(1, 12)):
    module.load_state_dict(torch.load(')" +
                               folder_.string() + R"(/' + file), strict=True)
    print(module(x).abs().sum().item())
)");
  ASSERT_EQ(output.status, 0) << output.text;
  std::istringstream lines(output.text);
  double cnn_python = 0, lstm_python = 0;
  lines >> cnn_python >> lstm_python;
  EXPECT_NEAR(cnn_python, cnn_sum, 1e-4 * cnn_sum);
  EXPECT_NEAR(lstm_python, lstm_sum, 1e-4 * lstm_sum);
}

TEST_F(ModelFile, OtherModelsAreRefusedByTensor) {
  const auto mlp = make("mlp");
  make("lenet")->save(path("lenet.pt"));
  EXPECT_THAT(refusal(*mlp, path("lenet.pt")), AllOf(HasSubstr("lenet.pt"), HasSubstr("fc1.weight"),
                                                     HasSubstr("[120, 256]"), HasSubstr("[200, 784]")));
  make("logistic")->save(path("logistic.pt"));
  EXPECT_THAT(refusal(*mlp, path("logistic.pt")), HasSubstr("has no tensor fc1.weight"));
  mlp->save(path("mlp.pt"));
  const auto logistic = make("logistic");
  EXPECT_THAT(refusal(*logistic, path("mlp.pt")), HasSubstr("has no tensor fc.weight"));
}

TEST_F(ModelFile, ExtraTensorsAreRefused) {
  save_state_dict(path("extra.pt"), {{"a", at::ones({2})}, {"b", at::ones({3})}});
  const at::Tensor a = at::zeros({2});
  EXPECT_THROW(load_state_dict(path("extra.pt"), {{"a", a}}), FileError);
  EXPECT_EQ(a.sum().item<float>(), 0);
}

TEST_F(ModelFile, MissingAndCorruptFilesAreRefusedInOneLine) {
  const auto model = make("logistic");
  EXPECT_THAT(refusal(*model, path("absent.pt")), AllOf(HasSubstr("absent.pt"), HasSubstr("No such file")));
  std::ofstream(path("empty.pt")).close();
  EXPECT_THAT(refusal(*model, path("empty.pt")), HasSubstr("empty.pt"));
  std::ofstream(path("rubbish.pt")) << "rubbish";
  EXPECT_THAT(refusal(*model, path("rubbish.pt")), AllOf(HasSubstr("state_dict"), Not(HasSubstr("\n"))));
  model->save(path("whole.pt"));
  const auto size = std::filesystem::file_size(path("whole.pt"));
  for (const auto cut : {size / 4, size / 2, size - 30}) {
    std::filesystem::copy_file(path("whole.pt"), path("cut.pt"),
                               std::filesystem::copy_options::overwrite_existing);
    std::filesystem::resize_file(path("cut.pt"), cut);
    EXPECT_THAT(refusal(*model, path("cut.pt")), AllOf(HasSubstr("cut.pt"), Not(HasSubstr("\n")))) << cut;
  }
}

TEST_F(ModelFile, AFileThatCannotBeWrittenLeavesTheOldOne) {
  const auto model = make("logistic");
  EXPECT_THROW(model->save(path("no/such/folder/model.pt")), RunError);
  model->save(path("model.pt"));
  model->save(path("model.pt"));
  EXPECT_EQ(
      std::distance(std::filesystem::directory_iterator(folder_), std::filesystem::directory_iterator()), 1);
  const std::vector<float> before = copy(*model);
  for (float& value : model->values()) value += 1;
  {
    const SmallFiles limit(1000);
    try {
      model->save(path("model.pt"));
      ADD_FAILURE() << "wrote more than it could";
    } catch (const RunError& error) {
      EXPECT_THAT(error.what(), AllOf(HasSubstr("model.pt"), HasSubstr("File too large")));
    }
  }
  EXPECT_EQ(
      std::distance(std::filesystem::directory_iterator(folder_), std::filesystem::directory_iterator()), 1);
  model->load(path("model.pt"));
  EXPECT_EQ(copy(*model), before);
}

TEST_F(ModelFile, TensorsOfOtherTypesAreNamed) {
  if (!has_python_torch()) GTEST_SKIP() << "no python3-torch on this machine";
  const Output output = python("import torch\nfolder = '" + folder_.string() + R"('
torch.save({'fc.weight': torch.zeros(10, 784, dtype=torch.float64), 'fc.bias': torch.zeros(10)}, folder + '/double.pt')
torch.save({'epoch': 3, 'state': {}}, folder + '/epoch.pt')
torch.save([torch.zeros(3)], folder + '/list.pt')
torch.save({'fc.weight': torch.zeros(784, 10).t(), 'fc.bias': torch.zeros(40)[3::4][:10]}, folder + '/strided.pt')
)");
  ASSERT_EQ(output.status, 0) << output.text;
  const auto model = make("logistic");
  EXPECT_THAT(refusal(*model, path("double.pt")), AllOf(HasSubstr("fc.weight"), HasSubstr("DoubleStorage")));
  EXPECT_THAT(refusal(*model, path("epoch.pt")), HasSubstr("holds epoch, which is not a tensor"));
  EXPECT_THAT(refusal(*model, path("list.pt")), HasSubstr("something else than named tensors"));
  model->load(path("strided.pt"));
  for (float value : model->values()) ASSERT_EQ(value, 0);
}

}  // namespace
}  // namespace gossamer

// What `gossamer bench train` compares with: local training as a user of libtorch would write it, on float
// tensors that lie ready, with nothing of ours linked or tuned. Arguments: MODEL BATCH_SIZE. For each line
// `go SECONDS` on standard input, trains that long and prints samples/s by wall and by processor time; ends
// at any other line.
#include <torch/torch.h>

#include <chrono>
#include <ctime>
#include <iostream>
#include <string>

namespace {

struct Network : torch::nn::Module {
  explicit Network(const std::string& model) {
    using torch::nn::Conv2dOptions;
    if (model == "cnn") {
      conv1 = register_module("conv1", torch::nn::Conv2d(Conv2dOptions(1, 32, 5).padding(2)));
      conv2 = register_module("conv2", torch::nn::Conv2d(Conv2dOptions(32, 64, 5).padding(2)));
      fc1 = register_module("fc1", torch::nn::Linear(3136, 512));
      fc2 = register_module("fc2", torch::nn::Linear(512, 10));
    } else if (model == "mlp") {
      fc1 = register_module("fc1", torch::nn::Linear(784, 200));
      fc2 = register_module("fc2", torch::nn::Linear(200, 200));
      fc3 = register_module("fc3", torch::nn::Linear(200, 10));
    } else {
      fc1 = register_module("fc1", torch::nn::Linear(784, 10));
    }
  }

  torch::Tensor forward(torch::Tensor x) {
    if (conv1) {
      x = torch::max_pool2d(torch::relu(conv1(x)), 2);
      x = torch::max_pool2d(torch::relu(conv2(x)), 2);
    }
    x = fc1(x.flatten(1));
    if (fc2) x = fc2(torch::relu(x));
    if (fc3) x = fc3(torch::relu(x));
    return x;
  }

  torch::nn::Conv2d conv1{nullptr}, conv2{nullptr};
  torch::nn::Linear fc1{nullptr}, fc2{nullptr}, fc3{nullptr};
};

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) return 2;
  at::set_num_threads(1);
  constexpr std::int64_t kExamples = 6000;
  const std::int64_t batch_size = std::stoll(argv[2]);
  const torch::Tensor features = torch::rand({kExamples, 1, 28, 28});
  const torch::Tensor labels = torch::randint(10, {kExamples});
  Network network(argv[1]);
  torch::optim::SGD optimizer(network.parameters(), 0.01);

  std::int64_t position = 0;
  std::string word;
  double seconds = 0;
  while (std::cin >> word >> seconds && word == "go") {
    using Clock = std::chrono::steady_clock;
    const Clock::time_point start = Clock::now();
    const std::clock_t processor_start = std::clock();
    std::int64_t samples = 0;
    double elapsed = 0;
    while (elapsed < seconds) {
      if (position + batch_size > kExamples) position = 0;
      const torch::Tensor x = features.narrow(0, position, batch_size);
      const torch::Tensor y = labels.narrow(0, position, batch_size);
      optimizer.zero_grad();
      torch::nn::functional::cross_entropy(network.forward(x), y).backward();
      optimizer.step();
      position += batch_size;
      samples += batch_size;
      elapsed = std::chrono::duration<double>(Clock::now() - start).count();
    }
    const double processor = static_cast<double>(std::clock() - processor_start) / CLOCKS_PER_SEC;
    const auto count = static_cast<double>(samples);
    std::cout << count / elapsed << ' ' << count / processor << std::endl;
  }
  return 0;
}

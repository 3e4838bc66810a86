// What our benchmarks compare with: training as a user of libtorch would write it, on float tensors that lie
// ready, with nothing of ours linked or tuned. Two uses; both wait for lines `go SECONDS` on standard input,
// answer each with a line, and end at any other line.
//   MODEL BATCH_SIZE (`gossamer bench train`): trains so long, on one thread; prints samples/s by wall and by
//     processor time.
//   MODEL BATCH_SIZE CLIENTS TEST_EXAMPLES THREADS (experiments/bench/cnn_round.sh): one round of federated
//     averaging, client after client with 600 examples each, and an evaluation; prints the seconds it took.
#include <torch/torch.h>

#include <algorithm>
#include <chrono>
#include <ctime>
#include <iostream>
#include <string>
#include <vector>

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

using Clock = std::chrono::steady_clock;

double since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

// The same model on every client in turn, their weights' mean, and its accuracy.
class FederatedLoop {
 public:
  FederatedLoop(const std::string& model, std::int64_t batch_size, std::int64_t clients,
                std::int64_t test_examples)
      : batch_size_(batch_size),
        clients_(clients),
        global_(model),
        local_(model),
        features_(torch::rand({clients * kExamplesPerClient, 1, 28, 28})),
        labels_(torch::randint(10, {clients * kExamplesPerClient})),
        test_features_(torch::rand({test_examples, 1, 28, 28})),
        test_labels_(torch::randint(10, {test_examples})) {}

  double round() {
    std::vector<torch::Tensor> mean;
    for (const torch::Tensor& weight : global_.parameters()) mean.push_back(torch::zeros_like(weight));
    for (std::int64_t client = 0; client < clients_; ++client) {
      train(client);
      const torch::NoGradGuard no_grad;
      const std::vector<torch::Tensor> trained = local_.parameters();
      for (std::size_t i = 0; i < mean.size(); ++i) mean[i] += trained[i] / static_cast<double>(clients_);
    }
    {
      const torch::NoGradGuard no_grad;
      std::vector<torch::Tensor> weights = global_.parameters();
      for (std::size_t i = 0; i < mean.size(); ++i) weights[i].copy_(mean[i]);
    }
    return accuracy();
  }

 private:
  static constexpr std::int64_t kExamplesPerClient = 600;
  static constexpr std::int64_t kTestBatch = 100;

  void train(std::int64_t client) {
    {
      const torch::NoGradGuard no_grad;
      std::vector<torch::Tensor> to = local_.parameters();
      const std::vector<torch::Tensor> from = global_.parameters();
      for (std::size_t i = 0; i < to.size(); ++i) to[i].copy_(from[i]);
    }
    torch::optim::SGD optimizer(local_.parameters(), 0.01);
    const torch::Tensor order = torch::randperm(kExamplesPerClient) + client * kExamplesPerClient;
    for (const torch::Tensor& batch : order.split(batch_size_)) {
      optimizer.zero_grad();
      const torch::Tensor x = features_.index_select(0, batch);
      const torch::Tensor y = labels_.index_select(0, batch);
      torch::nn::functional::cross_entropy(local_.forward(x), y).backward();
      optimizer.step();
    }
  }

  double accuracy() {
    const torch::NoGradGuard no_grad;
    std::int64_t correct = 0;
    double loss = 0;
    for (std::int64_t begin = 0; begin < test_labels_.size(0); begin += kTestBatch) {
      const std::int64_t count = std::min(kTestBatch, test_labels_.size(0) - begin);
      const torch::Tensor y = test_labels_.narrow(0, begin, count);
      const torch::Tensor logits = global_.forward(test_features_.narrow(0, begin, count));
      loss += torch::nn::functional::cross_entropy(logits, y).item<double>() * static_cast<double>(count);
      correct += logits.argmax(1).eq(y).sum().item<std::int64_t>();
    }
    return loss >= 0 ? static_cast<double>(correct) / static_cast<double>(test_labels_.size(0)) : 0;
  }

  std::int64_t batch_size_, clients_;
  Network global_, local_;
  torch::Tensor features_, labels_, test_features_, test_labels_;
};

int run_rounds(char** argv) {
  at::set_num_threads(std::stoi(argv[5]));
  FederatedLoop loop(argv[1], std::stoll(argv[2]), std::stoll(argv[3]), std::stoll(argv[4]));
  std::string word;
  double ignored = 0;
  while (std::cin >> word >> ignored && word == "go") {
    const Clock::time_point start = Clock::now();
    const double accuracy = loop.round();
    if (accuracy < 0) return 1;
    std::cout << since(start) << std::endl;
  }
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc == 6) return run_rounds(argv);
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
      elapsed = since(start);
    }
    const double processor = static_cast<double>(std::clock() - processor_start) / CLOCKS_PER_SEC;
    const auto count = static_cast<double>(samples);
    std::cout << count / elapsed << ' ' << count / processor << std::endl;
  }
  return 0;
}

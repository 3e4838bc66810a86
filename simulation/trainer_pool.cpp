#include "simulation/trainer_pool.h"

#include <ATen/Parallel.h>

namespace gossamer {

TrainerPool::TrainerPool(const Options& options, const FederatedData& data, int threads) {
  for (int i = 0; i < threads; ++i) {
    // They are one process, which holds each model once.
    auto received = clients_.empty() ? nullptr : clients_.front()->received();
    clients_.push_back(std::make_unique<Client>(options, data, std::move(received)));
  }
  for (int i = 0; i < threads; ++i) {
    threads_.emplace_back([this, i] { work(*clients_[static_cast<std::size_t>(i)]); });
  }
}

TrainerPool::~TrainerPool() {
  {
    const std::lock_guard lock(mutex_);
    closing_ = true;
    jobs_.clear();
  }
  wake_.notify_all();
}

void TrainerPool::push(std::function<void(Client&)> job) {
  {
    const std::lock_guard lock(mutex_);
    jobs_.push_back(std::move(job));
  }
  wake_.notify_one();
}

void TrainerPool::work(Client& client) {
  at::set_num_threads(1);  // per thread: the pool is the parallelism
  for (;;) {
    std::function<void(Client&)> job;
    {
      std::unique_lock lock(mutex_);
      wake_.wait(lock, [this] { return closing_ || !jobs_.empty(); });
      if (closing_) return;
      job = std::move(jobs_.front());
      jobs_.pop_front();
    }
    job(client);
  }
}

}  // namespace gossamer

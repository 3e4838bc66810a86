#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <future>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "client/client.h"

namespace gossamer {

// A fixed number of trainer threads, each with a Client (one model replica) of its own. Work is taken in the
// order it was given. Built and destroyed by one thread, which alone submits.
class TrainerPool {
 public:
  // `data` outlives the pool. Throws what a Client's constructor throws.
  TrainerPool(const Options& options, const FederatedData& data, int threads);
  ~TrainerPool();
  TrainerPool(const TrainerPool&) = delete;
  TrainerPool& operator=(const TrainerPool&) = delete;

  // For set-up, while no work is under way.
  const std::vector<std::unique_ptr<Client>>& clients() noexcept { return clients_; }
  int threads() const noexcept { return static_cast<int>(threads_.size()); }

  // Runs `work` on one of the threads' clients. An exception of the work comes out of the future.
  template <class Work>
  auto submit(Work work) -> std::future<decltype(work(std::declval<Client&>()))> {
    using Outcome = decltype(work(std::declval<Client&>()));
    auto task = std::make_shared<std::packaged_task<Outcome(Client&)>>(std::move(work));
    auto outcome = task->get_future();
    push([task](Client& client) { (*task)(client); });
    return outcome;
  }

 private:
  void push(std::function<void(Client&)> job);
  void work(Client& client);

  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<std::function<void(Client&)>> jobs_;
  bool closing_ = false;
  std::vector<std::unique_ptr<Client>> clients_;
  std::vector<std::jthread> threads_;
};

}  // namespace gossamer

#include "simulation/simulation.h"

#include <algorithm>
#include <deque>
#include <future>
#include <optional>
#include <vector>

#include "comms/codec.h"

namespace gossamer {
namespace {

// Of the frames of every update, where all of them are known before training.
EventLoop::Lengths update_lengths(const Options& options, const ShardPlan& plan) {
  EventLoop::Lengths lengths;
  for (const auto& up : one_a_shard(up_compressors(), options, plan)) {
    const auto payload = up->payload_bytes();
    if (!payload) return {};
    lengths.push_back(kFrameHeaderBytes + *payload);
  }
  if (algorithms().make(options)->reports_on_tau()) lengths.front() += sizeof(TauReport);
  if (privacy_plan(options).adaptive) lengths.front() += sizeof(ClipReport);
  return lengths;
}

}  // namespace

// Clients whose work is done on the pool's threads.
class PooledClients final : public VirtualClients {
 public:
  PooledClients(const FederatedData& data, TrainerPool& pool, ClientStates states)
      : data_(data),
        pool_(pool),
        keeps_state_(pool.clients().front()->keeps_state()),
        states_(std::move(states)) {}
  // Work under way uses the states of this object.
  ~PooledClients() override {
    for (const auto& update : training_) {
      if (update.valid()) update.wait();
    }
    for (const auto& end : going_on_) {
      if (end.valid()) end.wait();
    }
  }
  PooledClients(const PooledClients&) = delete;
  PooledClients& operator=(const PooledClients&) = delete;

  ClientStates& states() noexcept { return states_; }

  std::int64_t examples(ClientId client) const override { return data_.examples(client); }
  // One more than there are threads: who ends early has a next one.
  std::size_t ahead() const override { return static_cast<std::size_t>(pool_.threads()) + 1; }

  void begin(Work work, const Parcel& model) override {
    if (work >= training_.size()) {
      training_.resize(work + 1);
      going_on_.resize(work + 1);
    }
    // Work on a copy: what is called off, or under way when the run is saved, has changed nothing.
    std::shared_ptr<ClientState> state;
    if (keeps_state_) state = std::make_shared<ClientState>(states_.copy(model.header().client));
    training_[work] = pool_.submit([model, state](Client& worker) {
      const std::uint64_t bytes = state ? bytes_of(*state) : 0;
      auto received = pass_through(model);
      if (received) received = worker.take_part(received.value(), state.get());
      const bool grown = state && bytes_of(*state) != bytes;
      return Trained{model.header().client, state, grown, std::move(received)};
    });
  }
  Result<Parcel> outcome(Work work) override {
    Trained trained = training_[work].get();
    // Each thread has a heap, which keeps what is freed in it. All states are to be in this thread's.
    if (trained.grown) *trained.state = ClientState(*trained.state);
    if (trained.state) states_.put(trained.client, std::move(*trained.state));
    return std::move(trained.update);
  }
  void forget(Work work) override { training_[work] = {}; }

  void go_on(Work work, const FrameHeader& model) override {
    // As many states are borrowed as are worked on, and not those of all who wait for a thread.
    while (keeps_state_ && !borrowed_.empty() && borrowed_.size() >= ahead()) give_back(borrowed_.front());
    ClientState* state = nullptr;
    if (keeps_state_) {
      state = &states_.borrow(model.client);
      borrowed_.push_back({work, model.client});
    }
    going_on_[work] = pool_.submit([model, state](Client& worker) { worker.go_on(model, state); });
  }
  void wait(Work work) override {
    const auto borrowed = std::ranges::find(borrowed_, work, &Borrowed::work);
    if (borrowed != borrowed_.end()) give_back(*borrowed);
    going_on_[work].get();
  }

 private:
  struct Trained {
    ClientId client;
    std::shared_ptr<ClientState> state;  // afterwards
    bool grown;                          // in the worker's memory
    Result<Parcel> update;
  };
  struct Borrowed {
    Work work;
    ClientId client;
    bool operator==(const Borrowed&) const = default;
  };

  // When its work is done.
  void give_back(Borrowed borrowed) {
    going_on_[borrowed.work].wait();
    std::erase(borrowed_, borrowed);
    states_.release(borrowed.client);
  }

  const FederatedData& data_;
  TrainerPool& pool_;
  const bool keeps_state_;
  ClientStates states_;
  std::vector<std::future<Trained>> training_;  // by work
  std::vector<std::future<void>> going_on_;
  std::deque<Borrowed> borrowed_;  // by those who go on, in the order in which they began
};

Simulation::Simulation(const Options& options, const FederatedData& data, TrainerPool& pool,
                       ClientStates states)
    : options_(options),
      clients_(std::make_unique<PooledClients>(data, pool, std::move(states))),
      evaluator_(pool, data.test()) {
  loop_ = std::make_unique<EventLoop>(options, *clients_,
                                      update_lengths(options, pool.clients().front()->shards()));
}

Simulation::~Simulation() = default;

void Simulation::expect_any_length() {
  loop_ = std::make_unique<EventLoop>(options_, *clients_, EventLoop::Lengths{});
}

ClientStates& Simulation::states() noexcept { return clients_->states(); }

std::string Simulation::run(Coordination& coordinator, RunKeeper& keeper,
                            const std::function<bool()>& stop_requested) {
  return loop_->run(coordinator, keeper, stop_requested);
}

}  // namespace gossamer

// Push and pull: models and updates over tcp on loopback, beside plain ZeroMQ sockets.
#include <array>
#include <barrier>
#include <cstdio>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <zmq.hpp>

#include "cli/bench_server_parts.h"
#include "comms/codec.h"
#include "comms/zmq_transport.h"
#include "core/error.h"

namespace gossamer {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::size_t kTransferBytes = 40'000'000;
constexpr int kTransfers = 15;
constexpr std::chrono::seconds kPatience{60};

// A server on this thread and workers on threads of their own, who move a payload when they are told to.
// pull(): from the server to every worker; push(): from every worker to the server. Both say how long it took
// until the last one had it, in seconds.
class Exchange {
 public:
  virtual ~Exchange() = default;
  double pull() {
    return timed(Step::pull, [this] { server_pull(); });
  }
  double push() {
    return timed(Step::push, [this] { server_push(); });
  }

 protected:
  explicit Exchange(int workers) : workers_(workers), barrier_(workers + 1) {}
  // To be called when everything is there; and before it goes.
  void begin() {
    for (int worker = 0; worker < workers_; ++worker) {
      threads_.emplace_back([this, worker] {
        for (;;) {
          barrier_.arrive_and_wait();
          const Step step = step_;
          if (step == Step::end) return;
          step == Step::pull ? worker_pull(worker) : worker_push(worker);
          barrier_.arrive_and_wait();
        }
      });
    }
  }
  void end() {
    if (threads_.empty()) return;
    step_ = Step::end;
    barrier_.arrive_and_wait();
    threads_.clear();
  }
  virtual void server_pull() = 0;
  virtual void server_push() = 0;
  virtual void worker_pull(int worker) = 0;
  virtual void worker_push(int worker) = 0;

  const int workers_;

 private:
  enum class Step { pull, push, end };
  double timed(Step step, const std::function<void()>& serve) {
    step_ = step;
    barrier_.arrive_and_wait();
    const Clock::time_point start = Clock::now();
    serve();
    barrier_.arrive_and_wait();
    return seconds_since(start);
  }

  std::barrier<> barrier_;
  Step step_ = Step::pull;  // written between steps only
  std::vector<std::jthread> threads_;
};

Message expect(Transport& transport) {
  auto message = transport.receive(Clock::now() + kPatience);
  if (!message) throw RunError("bench server: " + message.fault().reason);
  return std::move(message).value();
}

// As the product does it: encoded, checksums and all.
class OurExchange final : public Exchange {
 public:
  OurExchange(int workers, const SharedFloats& values)
      : Exchange(workers), content_{values.size(), {values.owner, std::as_bytes(values.values)}} {
    ZmqLimits limits;
    limits.max_payload_bytes = kTransferBytes;
    ZmqServerSettings server;
    server.listen = "tcp://127.0.0.1:0";
    server.limits = limits;
    server_ = make_zmq_server(server);
    for (ClientId client = 0; client < workers; ++client) {
      ZmqClientSettings settings;
      settings.connect = server_->endpoint();
      settings.client = client;
      settings.limits = limits;
      workers_transports_.push_back(make_zmq_client(settings));
      static_cast<void>(workers_transports_.back()->send(0, encode_hello(0, client, {})));
      ranks_.push_back(expect(*server_).from);
    }
    begin();
  }
  ~OurExchange() override { end(); }

 private:
  void server_pull() override {
    const Frame model = encode_model(0, 1, 0, 0, content_);
    for (std::size_t worker = 0; worker < ranks_.size(); ++worker)
      static_cast<void>(server_->send(ranks_[worker], readdress(model, static_cast<ClientId>(worker))));
  }
  void server_push() override {
    for (int worker = 0; worker < workers_; ++worker) {
      if (!decode_update(expect(*server_).frame)) throw RunError("bench server: that is no update");
    }
  }
  void worker_pull(int worker) override {
    if (!decode_model(expect(*workers_transports_[static_cast<std::size_t>(worker)]).frame))
      throw RunError("bench server: that is no model");
  }
  void worker_push(int worker) override {
    CompressedUpdate update;
    update.info.client = worker;
    update.info.round = 1;
    update.content = content_;
    static_cast<void>(
        workers_transports_[static_cast<std::size_t>(worker)]->send(0, encode_update(0, update)));
  }

  Compressed content_;
  std::unique_ptr<Transport> server_;
  std::vector<std::unique_ptr<Transport>> workers_transports_;
  std::vector<Rank> ranks_;
};

// The same sockets and nothing else: messages that are sent from where they lie.
class PlainExchange final : public Exchange {
 public:
  PlainExchange(int workers, const SharedFloats& values)
      : Exchange(workers), values_(values), server_(context_, zmq::socket_type::router) {
    server_.bind("tcp://127.0.0.1:*");
    const std::string endpoint = server_.get(zmq::sockopt::last_endpoint);
    for (int worker = 0; worker < workers; ++worker) {
      contexts_.push_back(std::make_unique<zmq::context_t>());
      sockets_.emplace_back(*contexts_.back(), zmq::socket_type::dealer);
      sockets_.back().connect(endpoint);
      sockets_.back().send(zmq::str_buffer("hello"));
      zmq::message_t id, hello;
      static_cast<void>(server_.recv(id));
      static_cast<void>(server_.recv(hello));
      ids_.push_back(id.to_string());
    }
    begin();
  }
  ~PlainExchange() override { end(); }

 private:
  zmq::message_t message() const {
    return {const_cast<float*>(values_.values.data()), values_.values.size_bytes(), [](void*, void*) {}};
  }
  void server_pull() override {
    for (const std::string& id : ids_) {
      server_.send(zmq::buffer(id), zmq::send_flags::sndmore);
      server_.send(message(), zmq::send_flags::none);
    }
  }
  void server_push() override {
    for (int worker = 0; worker < workers_; ++worker) {
      zmq::message_t id, payload;
      static_cast<void>(server_.recv(id));
      static_cast<void>(server_.recv(payload));
    }
  }
  void worker_pull(int worker) override {
    zmq::message_t payload;
    static_cast<void>(sockets_[static_cast<std::size_t>(worker)].recv(payload));
  }
  void worker_push(int worker) override {
    sockets_[static_cast<std::size_t>(worker)].send(message(), zmq::send_flags::none);
  }

  SharedFloats values_;
  zmq::context_t context_;
  zmq::socket_t server_;
  std::vector<std::unique_ptr<zmq::context_t>> contexts_;
  std::vector<zmq::socket_t> sockets_;
  std::vector<std::string> ids_;
};

}  // namespace

void measure_transfers(BenchRows& rows) {
  std::printf(
      "A model to every worker and an update from each, over tcp on loopback, beside plain ZeroMQ.\n\n"
      "%-12s %8s %12s %9s %9s %8s %10s %7s\n",
      "case", "workers", "bytes", "push ms", "pull ms", "GB/s", "plain GB/s", "ratio");
  const SharedFloats values = bench_floats(kTransferBytes / sizeof(float), 0);
  for (const int workers : {1, 2}) {
    OurExchange ours(workers, values);
    PlainExchange plain(workers, values);
    std::array<std::vector<double>, 4> seconds;
    for (int sample = -2; sample < kTransfers; ++sample) {
      const std::array now{ours.push(), plain.push(), ours.pull(), plain.pull()};
      for (std::size_t i = 0; sample >= 0 && i < now.size(); ++i) seconds[i].push_back(now[i]);
    }
    const double push = median_of(seconds[0]), plain_push = median_of(seconds[1]);
    const double pull = median_of(seconds[2]), plain_pull = median_of(seconds[3]);
    const double moved = 2e-9 * workers * static_cast<double>(kTransferBytes);
    const double rate = moved / (push + pull), reference = moved / (plain_push + plain_pull);
    std::printf("%-12s %8d %12zu %9.2f %9.2f %8.3f %10.3f %7.2f\n", "transfer", workers, kTransferBytes,
                push * 1e3, pull * 1e3, rate, reference, rate / reference);
    std::fflush(stdout);
    rows.push_back({{"case", "transfer"},
                    {"workers", workers},
                    {"bytes", kTransferBytes},
                    {"push_ms", push * 1e3},
                    {"pull_ms", pull * 1e3},
                    {"gb_s", rate},
                    {"reference_gb_s", reference},
                    {"ratio", rate / reference},
                    {"push_ratio", plain_push / push},
                    {"pull_ratio", plain_pull / pull}});
  }
}

}  // namespace gossamer

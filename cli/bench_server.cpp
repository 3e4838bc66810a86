#include "cli/bench_server.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <barrier>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <thread>
#include <vector>
#ifdef GOSSAMER_HAVE_ZMQ
#include <zmq.hpp>

#include "comms/zmq_transport.h"
#endif
#include "cli/configuration.h"
#include "comms/codec.h"
#include "compression/methods.h"
#include "core/buffers.h"
#include "core/error.h"
#include "core/simd.h"
#include "server/aggregators/aggregator.h"
#include "server/run_keeper.h"
#include "simulation/event_loop.h"

namespace gossamer {
namespace {

using Clock = std::chrono::steady_clock;
using Rows = nlohmann::ordered_json;

double since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

double median(std::vector<double> values) {
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::ranges::nth_element(values, middle);
  return *middle;
}

// Floats that a decoder takes, and that no page shares.
SharedFloats floats(std::size_t count, float from) {
  FloatBuffer values(count);
  for (std::size_t i = 0; i < count; ++i) values[i] = from + static_cast<float>(i % 1024);
  return SharedFloats::of(std::move(values));
}

// ------------------------------------------------------------------------------------------- push and pull

#ifdef GOSSAMER_HAVE_ZMQ
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
    return since(start);
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

void measure_transfers(Rows& rows) {
  std::printf(
      "A model to every worker and an update from each, over tcp on loopback, beside plain ZeroMQ.\n\n"
      "%-12s %8s %12s %9s %9s %8s %10s %7s\n",
      "case", "workers", "bytes", "push ms", "pull ms", "GB/s", "plain GB/s", "ratio");
  const SharedFloats values = floats(kTransferBytes / sizeof(float), 0);
  for (const int workers : {1, 2}) {
    OurExchange ours(workers, values);
    PlainExchange plain(workers, values);
    std::array<std::vector<double>, 4> seconds;
    for (int sample = -2; sample < kTransfers; ++sample) {
      const std::array now{ours.push(), plain.push(), ours.pull(), plain.pull()};
      for (std::size_t i = 0; sample >= 0 && i < now.size(); ++i) seconds[i].push_back(now[i]);
    }
    const double push = median(seconds[0]), plain_push = median(seconds[1]);
    const double pull = median(seconds[2]), plain_pull = median(seconds[3]);
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
#endif

// --------------------------------------------------------------------------------------------- aggregation

constexpr std::size_t kUpdates = 100;
constexpr std::size_t kParameters = 1'663'370;
constexpr std::size_t kTriadFloats = std::size_t{1} << 25U;
constexpr int kAggregations = 9;

GOSSAMER_MULTIVERSION
void triad(float* __restrict a, const float* __restrict b, const float* __restrict c, float s,
           std::size_t n) {
  for (std::size_t i = 0; i < n; ++i) a[i] = b[i] + s * c[i];
}

// The update as its receiver's aggregator gets it.
Compressed arrived(const CompressedUpdate& update) {
  const auto received = pass_through(encode_update(0, update));
  if (!received) throw RunError("bench server: " + received.fault().reason);
  auto decoded = decode_update(received.value());
  if (!decoded) throw RunError("bench server: " + decoded.fault().reason);
  return std::move(decoded).value().content;
}

void measure_aggregation(const Options& defaults, Rows& rows) {
  const auto aggregator = aggregators().make(defaults);
  const auto compressor = make_no_compressor(kParameters);
  std::vector<Compressed> updates;
  for (std::size_t k = 0; k < kUpdates; ++k) {
    const SharedFloats values = floats(kParameters, static_cast<float>(k));
    CompressedUpdate update;
    update.content = {values.size(), {values.owner, std::as_bytes(values.values)}};
    updates.push_back(arrived(update));
  }
  FloatBuffer mean(kParameters);
  FloatBuffer a(kTriadFloats), b(kTriadFloats), c(kTriadFloats);
  for (FloatBuffer* buffer : {&a, &b, &c}) std::ranges::fill(*buffer, 1.0F);

  std::vector<double> seconds, reference;
  for (int sample = -1; sample < kAggregations; ++sample) {
    Clock::time_point start = Clock::now();
    triad(a.data(), b.data(), c.data(), 0.5F, kTriadFloats);
    const double triad_s = since(start);
    start = Clock::now();
    aggregator->begin(kParameters);
    for (const Compressed& update : updates) {
      if (!aggregator->accumulate(update, 600, *compressor)) throw RunError("bench server: a refused update");
    }
    aggregator->finish(mean, std::nullopt);
    const double aggregation_s = since(start);
    if (sample < 0) continue;
    reference.push_back(triad_s);
    seconds.push_back(aggregation_s);
  }
  // What cannot be avoided: every update is read, and the mean is written.
  const std::size_t bytes = (kUpdates + 1) * kParameters * sizeof(float);
  const double rate = static_cast<double>(bytes) * 1e-9 / median(seconds);
  const double bandwidth = 3e-9 * static_cast<double>(kTriadFloats * sizeof(float)) / median(reference);
  std::printf(
      "\nThe mean of %zu updates of %zu floats: each read once and the mean written, beside a triad's "
      "bandwidth.\n\n%-12s %8s %12s %9s %8s %10s %7s\n%-12s %8zu %12zu %9.2f %8.3f %10.3f %7.2f\n",
      kUpdates, kParameters, "case", "updates", "bytes", "ms", "GB/s", "triad GB/s", "ratio", "aggregation",
      kUpdates, bytes, median(seconds) * 1e3, rate, bandwidth, rate / bandwidth);
  rows.push_back({{"case", "aggregation"},
                  {"workers", kUpdates},
                  {"bytes", bytes},
                  {"aggregation_ms", median(seconds) * 1e3},
                  {"gb_s", rate},
                  {"reference_gb_s", bandwidth},
                  {"ratio", rate / bandwidth}});
}

// -------------------------------------------------------------------------------------------- virtual time

constexpr std::int64_t kClients = 1000;
constexpr std::size_t kFloats = 10;
constexpr std::int64_t kSimulatedRounds = 1000;
constexpr int kSimulations = 5;

// Clients whose training takes no real time: they read the model and answer with ten floats.
class IdleClients final : public VirtualClients {
 public:
  IdleClients() : down_(make_no_compressor(kFloats)), answer_(floats(kFloats, 1)), model_(kFloats) {}

  std::int64_t examples(ClientId) const override { return 600; }
  std::size_t ahead() const override { return 2; }
  void begin(Work work, const Parcel& model) override {
    if (work >= models_.size()) models_.resize(work + 1);
    models_[work] = model.first;
  }
  Result<Parcel> outcome(Work work) override {
    auto received = pass_through(std::exchange(models_[work], {}));
    if (!received) return received.fault();
    const FrameHeader& header = received.value().header;
    const auto content = decode_model(received.value());
    if (!content) return content.fault();
    if (auto read = down_->decompress(content.value(), model_); !read) return read.fault();
    CompressedUpdate update;
    update.info = {header.client, header.round, header.sequence, 600, 0.5, 600};
    update.content = {kFloats, {answer_.owner, std::as_bytes(answer_.values)}};
    return Parcel{encode_update(header.run_id, update), {}};
  }
  void forget(Work work) override { models_[work] = {}; }
  void go_on(Work, const FrameHeader&) override {}
  void wait(Work) override {}

 private:
  std::unique_ptr<Compressor> down_;
  SharedFloats answer_;
  FloatBuffer model_;
  std::vector<Frame> models_;
};

class ScratchFolder {
 public:
  ScratchFolder() {
    std::string path = (std::filesystem::temp_directory_path() / "gossamer-bench-XXXXXX").string();
    if (mkdtemp(path.data()) == nullptr) throw RunError("bench: no temporary folder: " + path);
    path_ = path;
  }
  ~ScratchFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  ScratchFolder(const ScratchFolder&) = delete;
  ScratchFolder& operator=(const ScratchFolder&) = delete;
  const std::filesystem::path& path() const noexcept { return path_; }

 private:
  std::filesystem::path path_;
};

// One federation from its start to its end; returns its events and their seconds.
std::pair<std::uint64_t, double> simulate(Options options, const std::string& mode) {
  const ScratchFolder folder;
  options.set("run.out", (folder.path() / "run").string());
  options.set("run.rounds", std::to_string(kSimulatedRounds));
  options.set("run.eval_every", std::to_string(kSimulatedRounds));
  options.set("server.checkpoint_every", "0");
  options.set("data.clients", std::to_string(kClients));
  options.set("cohort.fraction", "1");
  options.set("sync.mode", mode);
  if (mode == "buffered") options.set("sync.buffer", std::to_string(kClients));
  if (mode == "ssp") options.set("sync.staleness", "1000000");
  options.set("devices.distribution", "exponential");
  options.set("devices.drawn", "round");
  resolve(options);

  auto initial = std::make_shared<Parameters>();
  initial->layout = std::make_shared<const ParameterLayout>(
      std::vector<TensorSpec>{{"w", {kFloats}, 0, 0, TensorRole::parameter}});
  initial->values.assign(kFloats, 0.0F);
  const auto coordinator = make_coordinator(options, initial);
  std::ostringstream nowhere;
  ProgressPrinter progress(nowhere, ProgressStyle::quiet, kSimulatedRounds);
  RunKeeper keeper(options, RunFolder::create(options), "virtual", progress);
  keeper.resume(*coordinator);
  RunServices services;
  services.evaluate = [](const Parameters&) { return Evaluation{}; };
  keeper.set_services(std::move(services));
  IdleClients clients;
  EventLoop loop(options, clients, {kFrameHeaderBytes + kFloats * sizeof(float)});
  const Clock::time_point start = Clock::now();
  loop.run(*coordinator, keeper, [] { return false; });
  return {loop.events(), since(start)};
}

void measure_virtual_time(const Options& defaults, Rows& rows) {
  std::printf(
      "Virtual time: %lld clients with models of %zu floats whose updates fall due, each event with "
      "codec,\ncoordinator and device model.\n\n%-12s %-10s %12s %9s %14s\n",
      static_cast<long long>(kClients), kFloats, "case", "mode", "events", "s", "events/s");
  for (const std::string mode : {"buffered", "ssp"}) {
    std::vector<double> rates;
    std::uint64_t events = 0;
    double seconds = 0;
    for (int run = 0; run < kSimulations; ++run) {
      std::tie(events, seconds) = simulate(defaults, mode);
      rates.push_back(static_cast<double>(events) / seconds);
    }
    const double rate = median(rates);
    std::printf("%-12s %-10s %12llu %9.3f %14.0f\n", "simulated", mode.c_str(),
                static_cast<unsigned long long>(events), static_cast<double>(events) / rate, rate);
    std::fflush(stdout);
    rows.push_back({{"case", "simulated"},
                    {"mode", mode},
                    {"workers", kClients},
                    {"bytes", kFloats * sizeof(float)},
                    {"events", events},
                    {"events_per_s", rate}});
  }
}

}  // namespace

int bench_server(const CommandLine& line) {
  std::ofstream json;
  if (const auto given = line.extra.find("json"); given != line.extra.end()) {
    json.open(given->second);
    if (!json) throw ConfigError("--json " + given->second + ": cannot be written");
  }
  Rows rows = Rows::array();
  if (line.extra.contains("simulated")) {
    measure_virtual_time(line.options, rows);
  } else {
#ifdef GOSSAMER_HAVE_ZMQ
    measure_transfers(rows);
#endif
    measure_aggregation(line.options, rows);
  }
  if (json.is_open()) json << rows.dump(2) << '\n';
  return 0;
}

}  // namespace gossamer

// The queue of virtual time, with clients whose training takes no real time.
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <sstream>
#include <string>
#include <tuple>
#include <utility>

#include "cli/bench_server_parts.h"
#include "cli/configuration.h"
#include "comms/codec.h"
#include "compression/compressor.h"
#include "core/error.h"
#include "server/run_keeper.h"
#include "simulation/event_loop.h"

namespace gossamer {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::int64_t kClients = 1000;
constexpr std::size_t kFloats = 10;
constexpr std::int64_t kSimulatedRounds = 1000;
constexpr int kSimulations = 5;

// Clients whose training takes no real time: they read the model and answer with ten floats.
class IdleClients final : public VirtualClients {
 public:
  IdleClients() : down_(make_no_compressor(kFloats)), answer_(bench_floats(kFloats, 1)), model_(kFloats) {}

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
  return {loop.events(), seconds_since(start)};
}

}  // namespace

void measure_virtual_time(const Options& defaults, BenchRows& rows) {
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
    const double rate = median_of(rates);
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

}  // namespace gossamer

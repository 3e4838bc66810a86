#include "cli/bench_allreduce.h"
#include "core/checksum.h"

#include <mpi.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <exception>
#include <filesystem>
#include <fstream>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <thread>
#include <vector>

#include "cli/bench_gloo.h"
#include "cli/bench_job.h"
#include "cli/configuration.h"
#include "comms/collectives/mpi_link.h"
#ifdef GOSSAMER_HAVE_ZMQ
#include "comms/collectives/zmq_link.h"
#endif
#include "comms/topologies/topology.h"
#include "core/buffers.h"
#include "core/error.h"

namespace gossamer {
namespace {

using Clock = std::chrono::steady_clock;

constexpr double kSecondsPerSize = 1.0;  // and implementation, about
constexpr int kFewestSamples = 15;
constexpr int kMostSamples = 1000;
constexpr std::chrono::seconds kPatience{60};

struct Implementation {
  std::string name;
  SumInPlace sum;
  bool has_io_thread = false;
};

// A folder that all ranks of this machine see, for sockets and rendezvous; rank 0 removes it at the end.
class MeetingPlace {
 public:
  explicit MeetingPlace(Rank self) : self_(self) {
    std::string path = (std::filesystem::temp_directory_path() / "gossamer-bench-XXXXXX").string();
    path.resize(256);
    if (self == 0 && mkdtemp(path.data()) == nullptr) throw RunError("bench: no temporary folder: " + path);
    MPI_Bcast(path.data(), static_cast<int>(path.size()), MPI_CHAR, 0, MPI_COMM_WORLD);
    path_ = path.c_str();
  }
  ~MeetingPlace() {
    std::error_code ignored;
    if (self_ == 0) std::filesystem::remove_all(path_, ignored);
  }
  MeetingPlace(const MeetingPlace&) = delete;
  MeetingPlace& operator=(const MeetingPlace&) = delete;
  const std::filesystem::path& path() const noexcept { return path_; }

 private:
  Rank self_;
  std::filesystem::path path_;
};

SumInPlace sum_with(std::shared_ptr<AllReduce> all_reduce) {
  return [held = std::move(all_reduce)](std::span<float> values) {
    const auto done = held->all_reduce(values, Clock::now() + kPatience);
    if (!done) throw RunError("bench: " + done.fault().reason);
  };
}

#ifdef GOSSAMER_HAVE_ZMQ
std::unique_ptr<Link> zmq_link(const MpiSession& session, const Topology& topology,
                               const std::string& listen) {
  ZmqLinkSettings settings;
  settings.listen = listen;
  ZmqEndpoint endpoint(settings);
  std::array<char, 256> mine{};
  endpoint.address().copy(mine.data(), mine.size() - 1);
  std::vector<std::array<char, 256>> all(static_cast<std::size_t>(session.world_size()));
  MPI_Allgather(mine.data(), mine.size(), MPI_CHAR, all.data(), mine.size(), MPI_CHAR, MPI_COMM_WORLD);
  std::vector<std::string> addresses;
  for (const auto& address : all) addresses.emplace_back(address.data());
  auto link = endpoint.connect(topology, session.rank(), addresses, Clock::now() + kPatience);
  if (!link) throw RunError("bench: " + link.fault().reason);
  return std::move(link).value();
}
#endif

std::vector<Implementation> implementations(MpiSession& session, [[maybe_unused]] const MeetingPlace& place) {
  const auto ring = [] {
    OptionSchema schema;
    add_methods(schema, topologies().describe());
    Options options(std::make_shared<const OptionSchema>(std::move(schema)));
    options.set("topology.name", "ring");
    return topologies().make(options);
  }();
  std::vector<Implementation> all;
  all.push_back({"ring_mpi", sum_with(make_all_reduce(*ring, make_mpi_link(session, *ring))), false});
#ifdef GOSSAMER_HAVE_ZMQ
  const std::string path = place.path() / ("rank-" + std::to_string(session.rank()));
  all.push_back(
      {"ring_zmq_ipc", sum_with(make_all_reduce(*ring, zmq_link(session, *ring, "ipc://" + path))), true});
  all.push_back({"ring_zmq_tcp",
                 sum_with(make_all_reduce(*ring, zmq_link(session, *ring, "tcp://127.0.0.1:*"))), true});
#endif
  all.push_back({"mpi_allreduce", sum_with(make_mpi_all_reduce(session)), false});
#ifdef GOSSAMER_HAVE_GLOO
  std::filesystem::create_directories(place.path() / "gloo");
  all.push_back(
      {"gloo", make_gloo_all_reduce(session.rank(), session.world_size(), place.path() / "gloo"), true});
#endif
  return all;
}

// Element i of a rank's vector: both signs, magnitudes over a few orders.
float element(Rank rank, std::size_t i) {
  std::uint64_t bits =
      (i + 1) * 0x9E3779B97F4A7C15U + static_cast<std::uint64_t>(rank + 1) * 0xD1B54A32D192ED03U;
  bits = (bits ^ (bits >> 29U)) * 0xBF58476D1CE4E5B9U;
  bits ^= bits >> 32U;
  return (static_cast<float>(bits >> 40U) * 0x1p-24F - 0.5F) * static_cast<float>(1U << (bits & 7U));
}

// Within p * u * sum |x| of the float64 sum everywhere, and the same bits on every rank.
bool is_sum(std::span<const float> values, int world_size) {
  int correct = 1;
  for (std::size_t i = 0; i < values.size(); ++i) {
    double exact = 0, magnitude = 0;
    for (Rank rank = 0; rank < world_size; ++rank) {
      exact += element(rank, i);
      magnitude += std::abs(element(rank, i));
    }
    if (!(std::abs(values[i] - exact) <= world_size * 0x1p-24 * magnitude)) correct = 0;
  }
  std::uint64_t digest = checksum_of(std::as_bytes(values));
  std::uint64_t first = digest;
  MPI_Bcast(&first, 1, MPI_UINT64_T, 0, MPI_COMM_WORLD);
  if (first != digest) correct = 0;
  MPI_Allreduce(MPI_IN_PLACE, &correct, 1, MPI_INT, MPI_MIN, MPI_COMM_WORLD);
  return correct != 0;
}

// The slowest rank's time, in seconds, of one sum that all begin together.
double time_of(const Implementation& implementation, std::span<float> values) {
  MPI_Barrier(MPI_COMM_WORLD);
  const Clock::time_point start = Clock::now();
  implementation.sum(values);
  double seconds = std::chrono::duration<double>(Clock::now() - start).count();
  MPI_Request request = MPI_REQUEST_NULL;
  MPI_Iallreduce(MPI_IN_PLACE, &seconds, 1, MPI_DOUBLE, MPI_MAX, MPI_COMM_WORLD, &request);
  for (int done = 0; done == 0;) {
    MPI_Test(&request, &done, MPI_STATUS_IGNORE);
    // An I/O thread that shares this core may still have bytes to send to those who are not done.
    if (done == 0 && implementation.has_io_thread) std::this_thread::sleep_for(std::chrono::microseconds(20));
  }
  return seconds;
}

struct Figures {
  std::vector<double> seconds;
  bool correct = false;
};

// All implementations at one size, in turn: what disturbs the machine for a while disturbs all of them.
std::vector<Figures> measure(const std::vector<Implementation>& all, std::size_t count,
                             const MpiSession& session) {
  FloatBuffer original(count), values(count);
  for (std::size_t i = 0; i < count; ++i) original[i] = element(session.rank(), i);
  const auto restore = [&] { std::ranges::copy(original, values.begin()); };

  std::vector<Figures> figures(all.size());
  double slowest = 0;
  for (std::size_t i = 0; i < all.size(); ++i) {
    restore();
    all[i].sum(values);
    figures[i].correct = is_sum(values, session.world_size());
    for (int warm_up = 0; warm_up < 2; ++warm_up) {
      restore();
      slowest = std::max(slowest, time_of(all[i], values));
    }
  }
  const int samples = static_cast<int>(std::clamp(
      kSecondsPerSize / slowest, static_cast<double>(kFewestSamples), static_cast<double>(kMostSamples)));
  for (int sample = 0; sample < samples; ++sample) {
    for (std::size_t i = 0; i < all.size(); ++i) {
      restore();
      figures[i].seconds.push_back(time_of(all[i], values));
    }
  }
  return figures;
}

double quantile(std::vector<double> values, double share) {
  const auto at = static_cast<std::size_t>(std::ceil(share * static_cast<double>(values.size()))) - 1;
  std::ranges::nth_element(values, values.begin() + static_cast<std::ptrdiff_t>(at));
  return values[at];
}

std::vector<std::size_t> sizes_of(const CommandLine& line) {
  const auto given = line.extra.find("bytes");
  if (given == line.extra.end()) {
    return {4, 64, 1024, 4096, 16'384, 65'536, 262'144, 1 << 20, 4 << 20, 16 << 20, 32 << 20, 100'000'000};
  }
  std::vector<std::size_t> sizes;
  const std::string& text = given->second;
  const char* at = text.data();
  const char* const end = at + text.size();
  while (at < end) {
    std::size_t bytes = 0;
    const auto [rest, error] = std::from_chars(at, end, bytes);
    const bool ends = rest == end || (*rest == ',' && rest + 1 < end);
    if (error != std::errc() || !ends || bytes == 0 || bytes % sizeof(float) != 0 ||
        bytes > (std::size_t{1} << 31U)) {
      break;
    }
    sizes.push_back(bytes);
    at = rest == end ? end : rest + 1;
  }
  if (at != end || sizes.empty()) {
    throw ConfigError("--bytes " + text +
                      ": expected sizes like 4,65536, each a multiple of 4 of at most 2147483648");
  }
  return sizes;
}

void run(MpiSession& session, const std::vector<std::size_t>& sizes, bool kept_memory, std::ofstream* json) {
  const bool prints = session.rank() == 0;
  const int ranks = session.world_size();
  const MeetingPlace place(session.rank());
  const std::vector<Implementation> all = implementations(session, place);
  if (prints) {
    std::printf(
        "All-reduce between %d ranks, the slowest rank's time; busbw = algbw * 2 (p - 1) / p.\n"
        "Large temporary memory is %s.\n\n"
        "%-14s %11s %12s %12s %8s %8s %8s\n",
        ranks,
        kept_memory ? "kept in the process, as in runs" : "mapped and given back, as the C library does",
        "implementation", "bytes", "p50 us", "p99 us", "algbw", "busbw", "correct");
  }
  nlohmann::ordered_json rows = nlohmann::ordered_json::array();
  for (const std::size_t bytes : sizes) {
    const std::vector<Figures> figures = measure(all, bytes / sizeof(float), session);
    if (!prints) continue;
    for (std::size_t i = 0; i < all.size(); ++i) {
      const double p50 = quantile(figures[i].seconds, 0.5), p99 = quantile(figures[i].seconds, 0.99);
      const double algbw = static_cast<double>(bytes) / p50 / 1e9;
      const double busbw = algbw * 2 * (ranks - 1) / ranks;
      std::printf("%-14s %11zu %12.2f %12.2f %8.3f %8.3f %8s\n", all[i].name.c_str(), bytes, p50 * 1e6,
                  p99 * 1e6, algbw, busbw, figures[i].correct ? "yes" : "NO");
      rows.push_back({{"implementation", all[i].name},
                      {"ranks", ranks},
                      {"bytes", bytes},
                      {"p50_us", p50 * 1e6},
                      {"p99_us", p99 * 1e6},
                      {"algbw_gb_s", algbw},
                      {"busbw_gb_s", busbw},
                      {"correct", figures[i].correct}});
    }
    std::fflush(stdout);
  }
  if (json != nullptr) *json << rows.dump(2) << '\n';
}

}  // namespace

int bench_allreduce(const CommandLine& line) {
  const std::vector<std::size_t> sizes = sizes_of(line);
  run_bench_job(line, "bench allreduce: one rank has nobody to sum with; start it with mpirun -n 2",
                [&](MpiSession& session, std::ofstream* json) {
                  run(session, sizes, line.extra.contains("kept_memory"), json);
                });
  return 0;
}

}  // namespace gossamer

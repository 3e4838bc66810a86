#include "integration/fleet.h"

#include <poll.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <sstream>

namespace gossamer::testing {
namespace {

constexpr std::chrono::milliseconds kLook{5};

std::string local_address() { return "tcp://127.0.0.1:" + std::to_string(free_port()); }

}  // namespace

Fleet::Fleet(const Words& keys, const TemporaryFolder& folder, const FleetShape& shape)
    : out_(folder / "zmq"),
      address_(local_address()),
      root_(Words{kProgram, "server"} + keys + Words{"--server.listen", address_, "--run.out", out_.string()},
            folder / "root.log") {
  std::vector<std::string> addresses;
  for (std::size_t j = 0; j < shape.parents.size(); ++j) {
    const int parent = shape.parents[j];
    const std::string above = parent < 0 ? address_ : addresses.at(static_cast<std::size_t>(parent));
    addresses.push_back(local_address());
    aggregator_commands_.push_back(Words{kProgram, "server"} + keys +
                                   Words{"--server.id", std::to_string(j), "--server.connect", above,
                                         "--server.listen", addresses.back()});
    aggregator_logs_.push_back(folder / ("aggregator" + std::to_string(j) + ".log"));
    aggregators_.push_back(std::make_unique<Process>(aggregator_commands_.back(), aggregator_logs_.back()));
  }
  for (int k = 0; k < shape.clients; ++k) {
    const auto of = static_cast<std::size_t>(k);
    const std::string above =
        shape.of_clients.empty() ? address_ : addresses.at(static_cast<std::size_t>(shape.of_clients.at(of)));
    client_commands_.push_back(Words{kProgram, "client"} + keys +
                               Words{"--server.connect", above, "--client.id", std::to_string(k)});
    client_logs_.push_back(folder / ("client" + std::to_string(k) + ".log"));
    clients_.push_back(std::make_unique<Process>(client_commands_.back(), client_logs_.back()));
  }
}

bool Fleet::wait_for_rounds(std::int64_t rounds) { return testing::wait_for_rounds(root_, out_, rounds); }

bool Fleet::wait_for_clients(int clients) {
  const auto end = std::chrono::steady_clock::now() + kLimit;
  while (std::chrono::steady_clock::now() < end) {
    if (last_round().value("clients", -1) == clients) return true;
    if (!wait_for_rounds(rounds() + 1)) return false;
  }
  return false;
}

void Fleet::restart_aggregator(int j) {
  const auto at = static_cast<std::size_t>(j);
  aggregators_.at(at) = std::make_unique<Process>(aggregator_commands_.at(at), aggregator_logs_.at(at));
}

void Fleet::restart_client(int k) {
  const auto at = static_cast<std::size_t>(k);
  clients_.at(at) = std::make_unique<Process>(client_commands_.at(at), client_logs_.at(at));
}

std::int64_t Fleet::rounds() const { return recorded_rounds(out_); }

nlohmann::json Fleet::last_round() const {
  std::istringstream lines(read_file(out_ / "metrics.jsonl"));
  std::string newest;
  for (std::string line; std::getline(lines, line) && !lines.eof();) newest = line;  // whole ones
  return newest.empty() ? nlohmann::json::object() : nlohmann::json::parse(newest);
}

void Fleet::expect_end(Process& process, int expected) {
  EXPECT_EQ(process.wait(kLimit), expected) << process.output();
}

void Fleet::expect_others_end(int expected) {
  for (const auto& process : aggregators_) expect_end(*process, expected);
  for (const auto& process : clients_) expect_end(*process, expected);
}

std::int64_t recorded_rounds(const std::filesystem::path& out) {
  return std::ranges::count(read_file(out / "metrics.jsonl"), '\n');
}

bool wait_for_rounds(Process& process, const std::filesystem::path& out, std::int64_t rounds) {
  const auto end = std::chrono::steady_clock::now() + kLimit;
  while (std::chrono::steady_clock::now() < end) {
    if (recorded_rounds(out) >= rounds) return true;
    if (process.wait(kLook)) return false;
  }
  return false;
}

JobRank::JobRank(const Process& job, int number) {
  const std::string mark = "OMPI_COMM_WORLD_RANK=" + std::to_string(number);
  for (const auto& entry : std::filesystem::directory_iterator("/proc")) {
    const std::string name = entry.path().filename();
    if (name.find_first_not_of("0123456789") != std::string::npos) continue;
    std::istringstream status(read_file(entry.path() / "status"));
    bool child = false;
    for (std::string line; std::getline(status, line);) {
      child |= line == "PPid:\t" + std::to_string(job.id());
    }
    std::istringstream environment(read_file(entry.path() / "environ"));
    for (std::string variable; child && std::getline(environment, variable, '\0');) {
      if (variable == mark) id_ = std::stoi(name);
    }
  }
  if (id_ > 0) descriptor_ = static_cast<int>(syscall(SYS_pidfd_open, id_, 0));
}

JobRank::~JobRank() {
  if (descriptor_ >= 0) close(descriptor_);
}

void JobRank::signal(int number) const { ::kill(id_, number); }

bool JobRank::ends_within(std::chrono::milliseconds limit) const {
  pollfd descriptor{descriptor_, POLLIN, 0};
  return poll(&descriptor, 1, static_cast<int>(limit.count())) == 1;
}

}  // namespace gossamer::testing

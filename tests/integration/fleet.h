#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "integration/runs.h"
#include "support/process.h"

namespace gossamer::testing {

// Who is in a run over ZeroMQ. In a tree: of each aggregator the one above it (-1: the root), and of each
// client its aggregator.
struct FleetShape {
  int clients = 4;
  std::vector<int> parents;
  std::vector<int> of_clients;
};

// A run over ZeroMQ, a process each: its root (the server), aggregators where it is a tree, and its clients.
class Fleet {
 public:
  Fleet(const Words& keys, const TemporaryFolder& folder, const FleetShape& shape = {});

  // Until the run has recorded so many rounds; false where its root ended before, or after kLimit.
  bool wait_for_rounds(std::int64_t rounds);
  // Until a round has so many clients, likewise.
  bool wait_for_clients(int clients);
  // Start one anew that has ended.
  void restart_aggregator(int j);
  void restart_client(int k);
  std::int64_t rounds() const;
  // The newest round of metrics.jsonl.
  nlohmann::json last_round() const;
  // Of the root, which must have ended with `expected`.
  nlohmann::json finish(int expected = 0) { return testing::finish(root_, out_, expected); }
  // All clients, and all aggregators.
  void expect_others_end(int expected);
  static void expect_end(Process& process, int expected);

  Process& root() { return root_; }
  Process& aggregator(int j) { return *aggregators_.at(static_cast<std::size_t>(j)); }
  Process& client(int k) { return *clients_.at(static_cast<std::size_t>(k)); }
  int clients() const noexcept { return static_cast<int>(clients_.size()); }
  int aggregators() const noexcept { return static_cast<int>(aggregators_.size()); }
  const std::filesystem::path& out() const noexcept { return out_; }

 private:
  std::filesystem::path out_;
  std::string address_;
  Process root_;
  std::vector<std::unique_ptr<Process>> aggregators_, clients_;
  std::vector<Words> aggregator_commands_, client_commands_;
  std::vector<std::filesystem::path> aggregator_logs_, client_logs_;
};

// How many rounds the run in this folder has recorded.
std::int64_t recorded_rounds(const std::filesystem::path& out);
// Until the run has recorded so many; false where `process` ended before, or after kLimit.
bool wait_for_rounds(Process& process, const std::filesystem::path& out, std::int64_t rounds);

// A rank of an MPI job that this machine runs: a child of its mpirun.
class JobRank {
 public:
  JobRank(const Process& job, int number);
  ~JobRank();
  JobRank(const JobRank&) = delete;
  JobRank& operator=(const JobRank&) = delete;

  bool found() const noexcept { return descriptor_ >= 0; }
  void signal(int number) const;
  bool ends_within(std::chrono::milliseconds limit) const;

 private:
  pid_t id_ = -1;
  int descriptor_ = -1;
};

}  // namespace gossamer::testing

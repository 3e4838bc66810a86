#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "support/process.h"

namespace gossamer::testing {

// Paths come from the build: the program under test, and the folder with real data (empty where there is
// none).
inline const std::string kProgram = GOSSAMER_PROGRAM;

using Words = std::vector<std::string>;
// By then a run hangs, also on a machine that is busy with other things.
constexpr std::chrono::seconds kLimit{240};

inline Words operator+(Words left, const Words& right) {
  left.insert(left.end(), right.begin(), right.end());
  return left;
}

// The start of a command line under mpirun, also on a machine with fewer cores than ranks and as root.
inline Words mpirun(int ranks) {
  return {"mpirun", "--allow-run-as-root", "--oversubscribe", "-n", std::to_string(ranks), kProgram, "train"};
}

// A finished run's summary. The run must have ended with `expected`.
inline nlohmann::json finish(Process& process, const std::filesystem::path& out, int expected = 0) {
  const auto code = process.wait(kLimit);
  EXPECT_EQ(code, expected) << process.output();
  const std::string summary = read_file(out / "summary.json");
  EXPECT_FALSE(summary.empty()) << process.output();
  return summary.empty() ? nlohmann::json::object() : nlohmann::json::parse(summary);
}

// What runs in different places must have in common.
struct Outcome {
  std::string sha;
  std::uint64_t up, down;
  bool operator==(const Outcome&) const = default;
};

inline Outcome outcome_of(const nlohmann::json& summary) {
  return {summary.at("model_sha256"), summary.at("bytes_up"), summary.at("bytes_down")};
}

inline void PrintTo(const Outcome& outcome, std::ostream* out) {
  *out << outcome.sha << " up " << outcome.up << " down " << outcome.down;
}

inline nlohmann::json run_to_end(const Words& command, const Words& keys, const std::filesystem::path& out) {
  Process process(command + keys + Words{"--run.out", out.string()}, out.string() + ".log");
  return finish(process, out);
}

}  // namespace gossamer::testing

#pragma once

#include <sys/types.h>

#include <chrono>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace gossamer::testing {

// A child process of a test. Whatever happens to the test, the child ends with it (and so do the children of
// mpirun, which get a signal from it).
class Process {
 public:
  // Starts argv[0], looked for in PATH; both outputs go to the file `log`.
  Process(const std::vector<std::string>& argv, const std::filesystem::path& log,
          const std::map<std::string, std::string>& environment = {});
  ~Process();
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;

  // The exit code (128 + signal for one that was killed), or nothing if it still runs at the end of `limit`.
  std::optional<int> wait(std::chrono::milliseconds limit);
  void signal(int number) const;
  pid_t id() const noexcept { return pid_; }
  std::string output() const;  // so far

 private:
  pid_t pid_ = -1;
  int pidfd_ = -1;
  std::filesystem::path log_;
  std::optional<int> exit_code_;
};

// A folder of its own for one test, removed at its end.
class TemporaryFolder {
 public:
  TemporaryFolder();
  ~TemporaryFolder();
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  std::filesystem::path operator/(const std::string& name) const { return path_ / name; }

 private:
  std::filesystem::path path_;
};

// A TCP port on loopback that was free a moment ago.
int free_port();

std::string read_file(const std::filesystem::path& path);

}  // namespace gossamer::testing

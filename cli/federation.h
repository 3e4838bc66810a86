#pragma once

#include <filesystem>
#include <functional>
#include <memory>

#include "cli/command_line.h"
#include "cli/stop_signal.h"
#include "client/client_states.h"
#include "client/datasets/dataset.h"
#include "client/models/models.h"
#include "core/layout.h"
#include "core/progress.h"
#include "core/versioned_model.h"
#include "server/run_keeper.h"

namespace gossamer {

// What every way to run a federation starts from: the resolved configuration, the data and the model.
struct Federation {
  // Resolves the configuration, sets the thread counts of libtorch, loads the data. Throws ConfigError and
  // FileError.
  explicit Federation(const CommandLine& line);

  StopSignal stop;  // first, so that every thread inherits it
  Options options;
  std::unique_ptr<FederatedData> data;
  std::unique_ptr<Model> model;               // with the initial values; for saving afterwards
  std::shared_ptr<const Parameters> initial;  // the same values
  int verbosity;
};

// Trains `subject` to its end, in whatever place: resumes, calls `drive`, writes the results into the folder
// and prints where they are. Returns the exit code.
struct Place {
  std::string clock;  // "virtual" or "wall"
  RunServices services;
  std::function<void(const CheckpointReader&)> restore_clients;  // empty where this process holds no clients
  // Trains; returns what ended the run.
  std::function<std::string(RunKeeper&, const std::function<bool()>& stop_requested)> drive;
};
int run_federation(Federation& federation, VersionedModel& subject, RunFolder folder, Place place);

// Saves a model version as model.pt.
void save_model(Model& model, const Parameters& version, const std::filesystem::path& path);

// The longest payload that a peer of this federation may send.
std::uint64_t max_payload_bytes(const Federation& federation);

// --dry-run: the resolved configuration and what a round of it costs. `state_budget`: bytes of clients'
// states beyond which a process keeps them in a file.
int print_plan(const Federation& federation, std::uint64_t state_budget = ClientStates::kNoLimit);

}  // namespace gossamer

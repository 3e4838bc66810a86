#include "client/state_folder.h"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "client/client_states.h"
#include "core/checkpoint.h"
#include "core/error.h"
#include "core/logging.h"

namespace gossamer {
namespace {

constexpr std::size_t kKeptCheckpoints = 2;  // as many as a coordinator keeps

}  // namespace

StateFolder::StateFolder(const Options& options, std::filesystem::path folder)
    : folder_(std::move(folder)), run_(options.digest()), schedule_(options) {}

void StateFolder::save(ClientId client, Round round, const ClientState& state) const {
  const std::filesystem::path folder = folder_of(client);
  ClientStates one;
  one.put(client, state);
  CheckpointWriter writer;
  writer.add_pod("run", run_);
  one.save(writer);
  writer.commit(checkpoint_path(folder, round));

  std::size_t earlier = 0, of_checkpoints = 0;
  for (const Round old : checkpoint_rounds(folder)) {
    if (old == round) continue;
    const bool last = old < round && earlier++ == 0;
    const bool of_checkpoint = old < round && schedule_.due(old) && of_checkpoints++ < kKeptCheckpoints;
    if (!last && !of_checkpoint) remove_checkpoint(folder, old);
  }
}

std::optional<ClientState> StateFolder::before(Round round, ClientId client) const {
  const std::filesystem::path folder = folder_of(client);
  for (const Round saved : checkpoint_rounds(folder)) {
    if (saved >= round) continue;
    try {
      const CheckpointReader reader(checkpoint_path(folder, saved));
      if (reader.pod<std::uint64_t>("run") != run_) {
        log_warning(folder.string() +
                    ": what is there is of a run with another configuration; it is left alone");
        return std::nullopt;
      }
      ClientStates one;
      one.load(reader);
      return one.copy(client);
    } catch (const FileError& error) {
      log_warning("what client " + std::to_string(client) + " kept after round " + std::to_string(saved) +
                  " is passed over: " + error.what());
    }
  }
  return std::nullopt;
}

std::filesystem::path StateFolder::folder_of(ClientId client) const {
  return folder_ / ("client-" + std::to_string(client));
}

}  // namespace gossamer

#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <limits>
#include <list>
#include <map>
#include <memory>

#include "client/client_state.h"
#include "client/state_spill.h"
#include "core/checkpoint.h"
#include "core/options.h"

namespace gossamer {

// Whether a checkpoint holds what clients keep. Where they exchange on request, they are in the middle of
// their training at any time, and the clients of a resumed run start at the centre again. Clients in
// processes of their own are at the server's round in lockstep only; otherwise what they leave out before a
// resumed run is lost, unless they have a folder of their own (StateFolder).
bool saves_client_state(const Options& options, bool in_one_process);

// run.client_state_mb in bytes.
std::uint64_t client_state_budget(const Options& options);

// What the clients of one process keep from round to round: in memory as far as the budget goes. What is
// beyond lies in a file, that of the clients who worked least recently, and comes back when they work again;
// nothing else depends on it. States are copied out and put back, or borrowed. Not thread-safe, but borrowed
// ones may be used by different threads. Calls that read or write the file throw RunError.
class ClientStates {
 public:
  static constexpr std::uint64_t kNoLimit = std::numeric_limits<std::uint64_t>::max();
  // All in memory.
  ClientStates() = default;
  // At most so many bytes of floats, beside those that are borrowed. The file is made at `path`, once there
  // is something for it.
  ClientStates(std::uint64_t budget, std::filesystem::path path) : budget_(budget), path_(std::move(path)) {}

  // Empty before the client's first round.
  ClientState copy(ClientId client);
  // In place of what the client had.
  void put(ClientId client, ClientState state);
  // In memory, at the same place, until release() or load().
  ClientState& borrow(ClientId client);
  void release(ClientId client);

  // Sections "client <id> <index>" and "client <id> residual"; what is in the file is read when the
  // checkpoint is written, to which moment the states stay as they are. load() replaces what is held.
  void save(CheckpointWriter& writer) const;
  void load(const CheckpointReader& reader);

  // For the end of a run: gives back the file's room on the disk; what was in it is lost.
  void drop_file();

  // In memory, but for what is borrowed.
  std::uint64_t resident_bytes() const noexcept { return resident_; }
  // Written to the file so far.
  std::uint64_t spilled_bytes() const noexcept { return written_before_ + (spill_ ? spill_->bytes() : 0); }

 private:
  // resting: in memory, with its place in recent_. Those without a float are never spilled.
  enum class Place { empty, resting, borrowed, spilled };
  struct Entry {
    Place place = Place::empty;
    ClientState state;
    std::uint64_t bytes = 0;
    std::list<ClientId>::iterator recent;
  };
  void rest(ClientId client, Entry& entry);
  void take_out(ClientId client, Entry& entry);
  void keep_to_the_budget();

  std::uint64_t budget_ = kNoLimit;
  std::filesystem::path path_;
  std::map<ClientId, Entry> entries_;
  std::list<ClientId> recent_;  // resting, the least recently used first
  std::uint64_t resident_ = 0;
  std::unique_ptr<StateSpill> spill_;
  std::uint64_t written_before_ = 0;  // to files that are gone
};

}  // namespace gossamer

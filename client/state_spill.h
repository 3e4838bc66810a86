#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <span>
#include <vector>

#include "client/client_state.h"
#include "core/files.h"
#include "core/types.h"

namespace gossamer {

// States on a disk: each in a slot of its length, which the next one of that length takes over. Not
// thread-safe. Throws RunError like a ScratchFile.
class StateSpill {
 public:
  explicit StateSpill(std::filesystem::path path) : file_(std::move(path)) {}

  // Of a client that has none here.
  void put(ClientId client, const ClientState& state);
  // The other calls are for clients that have one. read() leaves it there.
  ClientState read(ClientId client) const;
  void drop(ClientId client);

  // The floats of each vector of the state: those of the training first, that of compression last.
  const std::vector<std::size_t>& lengths(ClientId client) const { return slots_.at(client).lengths; }
  // One of these vectors, piece by piece.
  void stream(ClientId client, std::size_t vector,
              const std::function<void(std::span<const std::byte>)>& sink) const;

  // Written so far.
  std::uint64_t bytes() const noexcept { return written_; }

 private:
  struct Slot {
    std::uint64_t offset = 0, bytes = 0;
    std::vector<std::size_t> lengths;
  };

  ScratchFile file_;
  std::map<ClientId, Slot> slots_;
  std::map<std::uint64_t, std::vector<std::uint64_t>> free_;  // offsets of slots by their length
  std::uint64_t end_ = 0;                                     // of the file
  std::uint64_t written_ = 0;
};

}  // namespace gossamer

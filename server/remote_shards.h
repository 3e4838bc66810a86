#pragma once

#include <chrono>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "comms/transport.h"
#include "core/layout.h"
#include "server/shard_port.h"

namespace gossamer {

// The further shards of a server in processes of their own, as shard 0 sees them. They register with it, with
// ids behind the clients', and are told what to do; the loss of one ends the run. One thread.
class RemoteShards final : public ShardPort {
 public:
  // All references outlive it. `farewell`: as TransportDriverSettings::farewell.
  RemoteShards(const Options& options, const ParameterLayout& layout, Transport& transport,
               std::optional<std::chrono::duration<double>> farewell);
  // Tells them that the run is over: as it has ended(), otherwise that it failed.
  ~RemoteShards() override;
  RemoteShards(const RemoteShards&) = delete;
  RemoteShards& operator=(const RemoteShards&) = delete;

  // Orders and sections for a shard that has not come yet wait for it.
  void tell(const std::vector<ShardOrder>& orders) override;
  // Returns none: the shards send their ranges themselves.
  void serve(SendModel& send) override;
  bool take(const CompressedUpdate&) override { return true; }
  std::vector<std::vector<ShardSection>> show(std::vector<ShardOrder> orders) override;
  void restore(std::size_t shard, std::vector<ShardSection> sections) override;
  bool is_broken() const noexcept override { return broken_; }

  // What came in while shards were waited for, then what comes in.
  Result<Message> receive(Transport::Clock::time_point deadline);

  bool is_id(ClientId id) const noexcept;
  // A hello with such an id. True where the shard is here now and was not before.
  bool admit(const Message& hello);
  // Who speaks from this rank, if it is a shard.
  std::optional<std::size_t> shard_at(Rank rank) const;
  Rank rank_of(std::size_t shard) const { return shards_[shard - 1].rank; }
  void meet(std::size_t shard, const std::string& address);
  // Whether all are here and have said where clients find them.
  bool are_complete() const;
  // Where clients find them, shard 0's place being empty.
  std::vector<std::string> addresses() const;

  // Bytes that this shard has moved since its last notice.
  struct Moved {
    std::uint64_t down, up;
  };
  Moved count(std::size_t shard, const PartNotice& notice);
  // Whether the notice is of what the client was served last, or of nothing that is kept.
  bool is_current(const PartNotice& notice) const;
  void ended(const Finish& end) { end_ = end; }
  // From now on there is no whole model. Returns what to say of it.
  std::string lost(std::size_t shard, const std::string& reason);

 private:
  struct Place {
    Rank rank = -1;
    std::optional<std::string> address;
    std::deque<Frame> waiting;
    std::uint64_t bytes_down = 0, bytes_up = 0;
  };

  void post(std::size_t shard, const Frame& frame);
  void say_goodbye();

  const Options& options_;
  const ParameterLayout& layout_;
  Transport& transport_;
  const std::optional<std::chrono::duration<double>> farewell_;
  const std::uint64_t run_id_;
  const ClientId first_id_;    // of shard 0, which nobody uses
  std::vector<Place> shards_;  // from shard 1 on
  std::deque<Result<Message>> set_aside_;
  std::map<ClientId, double> servings_;
  bool broken_ = false;
  Finish end_{false, "shard 0 has failed"};
};

// Null where the server has one shard.
std::shared_ptr<RemoteShards> make_remote_shards(const Options& options,
                                                 const std::shared_ptr<const Parameters>& initial,
                                                 Transport& transport,
                                                 std::optional<std::chrono::duration<double>> farewell);

// The id with which a shard registers.
ClientId id_of_shard(const Options& options, std::size_t shard);

}  // namespace gossamer

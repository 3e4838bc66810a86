#pragma once

#include <span>
#include <vector>

#include "comms/topologies/topology.h"
#include "simulation/device_model.h"

namespace gossamer {

// The links of virtual peers, each with its own rate up and down: what a peer sends goes out one after the
// other, and so does what reaches it. Messages are to be given in the order in which they are sent.
class PeerWires {
 public:
  // `devices` outlives it.
  PeerWires(const DeviceModel& devices, std::int64_t peers);

  struct Message {
    ClientId from = 0, to = 0;
    std::size_t bytes = 0;
    Seconds sent = 0;
  };
  // When it has arrived. `round` is the sender's.
  Seconds deliver(const Message& message, Round round);
  // Messages of one round, in any order: at[to] becomes the time when the last one for it has arrived, where
  // that is later.
  void deliver(std::vector<Message> messages, Round round, std::span<Seconds> at);
  // A sum of `count` elements along the topology's routes, stage by stage: at[rank] is when the rank begins,
  // then when it has the sum.
  void all_reduce(const Topology& topology, std::size_t count, Round round, std::span<Seconds> at);
  // The same for a gather of `count` elements in equal shares.
  void gather(const Topology& topology, std::size_t count, Round round, std::span<Seconds> at);

 private:
  struct Transfer {
    ClientId to = 0;
    Seconds seconds_down = 0;               // that it takes the receiver's link
    Seconds first_byte = 0, last_byte = 0;  // when they come to it
  };
  void follow(const std::vector<Routes>& routes, std::size_t count, std::size_t chunk, Round round,
              std::span<Seconds> at);
  Transfer upload(const Message& message, Round round);
  Seconds arrive(const Transfer& transfer);

  const DeviceModel& devices_;
  std::vector<Seconds> up_free_, down_free_;
};

}  // namespace gossamer

#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <vector>

#include "comms/shard_codec.h"
#include "server/server.h"

namespace gossamer {

// A shard of a server beside the first: a Server over its range of the model, and the clients' parts until
// shard 0 has them added. Carries out orders, in order, and decides nothing. Each client it has served has
// one part here at most, and nobody else any. No I/O, no clock. Not thread-safe.
class Shard {
 public:
  // `range`: the model to begin with, as ShardPlan::part() makes it.
  Shard(const Options& options, std::shared_ptr<const Parameters> range);

  // What orders ask to be sent.
  struct Model {
    ClientId client;
    Round round;
    const Compressed& range;  // until the next order
    std::uint64_t base;       // the mark of what it is a difference to; 0: it is none
  };
  struct Answers {
    std::function<void(const Model&)> serve;
    std::function<void(ShardSection)> show;
  };
  // Throws RunError where an order cannot be carried out: then shard 0 and this one do not fit together.
  void carry_out(const ShardOrder& order, const Answers& answers);
  // A client's part of its update: kept where it was asked for. Returns the number of the serving that it
  // answers; none where it is not kept.
  std::optional<double> take(const CompressedUpdate& part);
  // Of a resumed run, before the first order but `hold`: a section of the checkpoint, the one of kind `end`
  // last.
  void restore(ShardSection section);

  const std::shared_ptr<const Parameters>& model() const noexcept { return server_.model(); }

 private:
  // A round of work of one client.
  struct Work {
    Round round = 0;
    std::shared_ptr<const Parameters> base;
    double serving = 0;
    std::optional<CompressedUpdate> part;
  };

  void serve(const ShardOrder& order, const Answers& answers);
  void encode(const ShardOrder& order, const std::shared_ptr<const Parameters>& base);
  void add(const ShardOrder& order);
  void show_state(const Answers& answers);

  Server server_;
  std::map<ClientId, Work> work_;
  std::shared_ptr<const Parameters> encoded_;  // what broadcast_ holds, where models travel as a whole
  Round round_ = 0;                            // the same, where differences do
  ModelStream::Broadcast broadcast_;
  std::vector<ShardSection> restored_;
  std::map<std::uint64_t, std::shared_ptr<const Parameters>> bases_;  // of a checkpoint
};

// What a section is called in a checkpoint.
std::string name_of(const ShardSection& section);

}  // namespace gossamer

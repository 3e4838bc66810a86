// The rounds of peers that gossip, in lockstep or each at its own pace.
#include <algorithm>

#include "client/peer_process.h"
#include "comms/codec.h"
#include "core/logging.h"

namespace gossamer {
namespace {

std::uint64_t share_bytes(const Compressed& content) { return kFrameHeaderBytes + content.payload.size(); }

}  // namespace

void PeerProcess::gossip_rounds() {
  Peer& first = peers_.begin()->second;  // all are granted alike
  if (copies_ && first.completed > 0) {
    // Differences go on from the copies of a checkpoint, which each peer has of itself alone.
    for (const auto& [client, peer] : peers_)
      send_to_neighbours(FrameType::share, client, peer.completed, copies_->whole(client));
  }
  while (await([&] { return first.granted > first.completed; })) {
    const Round round = first.completed + 1;
    std::map<ClientId, CompressedUpdate> updates;
    std::map<ClientId, SharedFloats> own;
    for (auto& [client, peer] : peers_) {
      const auto send_own = [&, id = client] {
        own[id] = peers_.at(id).model.share();
        send_to_neighbours(copies_ ? FrameType::difference : FrameType::share, id, round,
                           encoded_for_all(id, own[id], round));
      };
      if (plan_->settings().overlap) send_own();
      auto update = train(client, round);
      if (!update) return;
      if (!plan_->settings().overlap) {
        accept(peer.model.add(*update, *plain_), client);
        send_own();
      }
      updates[client] = std::move(*update);
    }
    for (auto& [client, peer] : peers_) {
      const auto row = plan_->row(static_cast<Rank>(client), round);
      auto& arrived = arrived_[{client, round}];
      const bool complete_row = await([&, id = client] {
        return std::ranges::all_of(row, [&](const MixingWeight& entry) {
          return entry.peer == id || arrived.contains(entry.peer) || lost_.contains(entry.peer);
        });
      });
      if (!complete_row) return;
      mix(client, round, own.at(client));
      if (plan_->settings().overlap) accept(peer.model.add(updates.at(client), *plain_), client);
      for (const auto& [from, content] : arrived) peer.received += share_bytes(content);
      arrived_.erase({client, round});
      complete(client, updates.at(client).info);
    }
  }
}

// What all neighbours get of a model.
Compressed PeerProcess::encoded_for_all(ClientId client, const SharedFloats& model, Round round) {
  return copies_ ? copies_->next(client, model, round) : encoded(model, client, client, round);
}

void PeerProcess::send_to_neighbours(FrameType type, ClientId client, Round round,
                                     const Compressed& content) {
  for (const MixingWeight& entry : plan_->row(static_cast<Rank>(client), round)) {
    if (entry.peer != client) send(type, {client, entry.peer, round, 0, content});
  }
}

// With what has arrived from its neighbours; who has sent something malformed is left out.
void PeerProcess::mix(ClientId client, Round round, const SharedFloats& own) {
  PeerModel& model = peers_.at(client).model;
  const auto row = plan_->row(static_cast<Rank>(client), round);
  const auto& arrived = arrived_[{client, round}];
  std::size_t malformed = 0;
  if (!copies_) {
    malformed = model.mix(row, static_cast<Rank>(client), own.values, arrived, *down_);
  } else {
    for (const auto& [from, content] : arrived) {
      const bool known = !copies_->after(round - 1, from).empty();
      if (!copies_->add(from, content, round) && known) ++malformed;
    }
    model.approach(row, static_cast<Rank>(client), own.values, *copies_, round,
                   plan_->settings().consensus_step);
  }
  if (malformed > 0)
    log_warning("client " + std::to_string(client) + ": left out " + std::to_string(malformed) +
                " malformed models of its neighbours");
}

void PeerProcess::gossip_freely() {
  if (!await([&] { return peers_.begin()->second.granted > 0; })) return;
  while (!over() && !shown_last_) {
    for (auto& [client, peer] : peers_) {
      const auto update = train(client, peer.completed + 1);
      if (!update) break;
      accept(peer.model.add(*update, *plain_), client);
      exchange(client, peer.completed + 1);
      if (over()) return;
      complete(client, update->info);
      // All that is here: with short rounds others send as fast as this peer can take it in.
      while (!over() && pump(Clock::now())) {
      }
      if (over() || shown_last_) break;
    }
  }
  static_cast<void>(await([] { return false; }));  // others may still wait for an answer
}

// After a round of its own work, whenever that is.
void PeerProcess::exchange(ClientId client, Round round) {
  Peer& peer = peers_.at(client);
  const auto other = plan_->partner(static_cast<Rank>(client), round,
                                    [this](Rank candidate) { return !lost_.contains(candidate); });
  if (!other) return;
  if (plan_->settings().method == GossipMethod::go_sgd) {
    // Nobody answers, so where training is faster than the link, models would pile up in front of it: whoever
    // still sends its last one does not draw again.
    if (!place_.network->flush(Clock::now())) return;
    const double weight = peer.model.halve_weight();
    return send(FrameType::share,
                {client, *other, round, weight, encoded(peer.model.share(), client, *other, round)});
  }
  send(FrameType::share, {client, *other, round, 0, encoded(peer.model.share(), client, *other, round)});
  peer.waits_for = *other;
  // Others are served meanwhile, so nobody can wait in a circle.
  static_cast<void>(await([&] { return !peer.waits_for || lost_.contains(*peer.waits_for); }));
  peer.waits_for.reset();
}

// What another peer sent: kept for the end of the round it belongs to, or, where there are no common rounds,
// taken in at once.
void PeerProcess::serve(FrameType type, PeerShare share) {
  const auto found = peers_.find(share.to);
  if (found == peers_.end()) return;
  Peer& peer = found->second;
  if (!peer.here) {  // a neighbour that has begun already: the recorder's frames and its own come in any
                     // order
    if (std::ssize(early_) < (kRoundsAhead + 1) * options_.integer("data.clients") * std::ssize(peers_))
      early_.emplace_back(type, std::move(share));
    return;
  }
  const auto drop = [&](const Fault& fault) {
    log_warning("dropped what client " + std::to_string(share.from) + " sent to client " +
                std::to_string(share.to) + ": " + fault.reason);
  };
  if (copies_ && type == FrameType::share) {
    peer.received += share_bytes(share.content);
    if (const auto held = take_copy(share); !held) drop(held.fault());
    return;
  }
  if (lockstep_) {
    if (share.round > peer.completed && share.round <= peer.completed + kRoundsAhead)
      arrived_[{share.to, share.round}].try_emplace(share.from, std::move(share.content));
    return;
  }
  peer.received += share_bytes(share.content);
  if (type == FrameType::difference) {
    if (peer.waits_for == share.from) peer.waits_for.reset();
    if (const auto given = peer.model.give(share.content, *down_); !given) drop(given.fault());
    return;
  }
  if (plan_->settings().method == GossipMethod::go_sgd) {
    const auto absorbed = peer.model.absorb(share.content, share.weight, *down_);
    if (!absorbed) drop(absorbed.fault());
    return;
  }
  auto half = peer.model.half_difference(share.content, *down_);
  if (!half) return drop(half.fault());
  const Compressed difference = encoded(std::move(half).value(), share.to, share.from, share.round);
  if (const auto taken = peer.model.take(difference, *down_); !taken) return drop(taken.fault());
  send(FrameType::difference, {share.to, share.from, share.round, 0, difference});
}

Result<std::monostate> PeerProcess::take_copy(const PeerShare& share) {
  const auto row = plan_->row(static_cast<Rank>(share.to), share.round);
  const bool neighbour =
      std::ranges::any_of(row, [&](const MixingWeight& entry) { return entry.peer == share.from; });
  if (!neighbour || share.round != peers_.at(share.to).completed)
    return malformed("a copy that nobody waits for");
  return copies_->hold(share.from, share.content, share.round);
}

// `to` is `from` where all neighbours get the same.
Compressed PeerProcess::encoded(SharedFloats values, ClientId from, ClientId to, Round round) {
  Rng rng = message_rng(seed_, from, to, round);
  return down_->compress(std::move(values), {}, {round}, rng);
}

void PeerProcess::send(FrameType type, const PeerShare& share) {
  if (lost_.contains(share.to)) return;
  peers_.at(share.from).sent += share_bytes(share.content);
  place_.network->send(share.to, encode_share(run_id_, type, share));
}

}  // namespace gossamer

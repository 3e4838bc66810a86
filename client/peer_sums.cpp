// The rounds of peers that sum: updates, compressed or not, or gradients while they train.
#include "client/intervals.h"
#include "client/peer_process.h"
#include "core/error.h"

namespace gossamer {
namespace {

constexpr std::chrono::seconds kWordOfALoss{5};  // then a peer that misses another speaks for itself
constexpr std::chrono::microseconds kIdleCollective{100};  // between looks at a collective that does not move
constexpr int kBusyTurns = 50;                             // before these
constexpr int kTurnsBetweenLooks = 16;                     // in the middle of a step, at the network
constexpr int kBusyStepTurns = 1 << 14;

}  // namespace

void PeerProcess::all_reduce_rounds() {
  const ClientId client = place_.clients.front();
  Peer& peer = peers_.at(client);
  sums_.resize(peer.model.values().size() + 1);
  while (await([&] { return peer.granted > peer.completed; })) {
    const Round round = peer.completed + 1;
    const auto update = train(client, round);
    if (!update) return;
    const double weight = uniform_weights_ ? 1 : update->info.weight;
    accept(peer.model.fill(*update, mean_ ? 1 : weight, *plain_, sums_), client);
    begin_mean(update->info, weight);
    for (int idle = 0;;) {
      const auto complete = mean_is_complete();
      if (!complete) {
        return give_up(complete.fault());
      }
      if (complete.value()) break;
      pump(Clock::now() + (++idle < kBusyTurns ? std::chrono::microseconds{0} : kIdleCollective));
      if (over()) return;
    }
    const ExchangeBytes bytes = end_mean();
    peer.model.add_mean(sums_);
    peer.sent += bytes.sent;
    peer.received += bytes.received;
    complete(client, update->info);
  }
}

// Of what is in sums_: a weighted sum and the weights', or, compressed, the mean and 1.
void PeerProcess::begin_mean(const UpdateInfo& info, double weight) {
  if (!mean_) return place_.all_reduce->start(sums_);
  mean_->begin(std::span(sums_).first(sums_.size() - 1), static_cast<float>(weight),
               {info.round, info.train_loss});
  place_.messages->start(mean_->routes(), *mean_);
}

Result<bool> PeerProcess::mean_is_complete() {
  if (!mean_) {
    const auto complete = place_.all_reduce->progress();
    if (!complete) return complete.fault();
    return complete.value() == 1;
  }
  auto complete = place_.messages->progress();
  if (!complete || !complete.value()) return complete;
  if (const auto finished = mean_->finish(); !finished) return finished.fault();
  return true;
}

ExchangeBytes PeerProcess::end_mean() {
  if (mean_) return place_.messages->bytes();
  static_cast<void>(place_.all_reduce->finish(Clock::now()));
  return all_reduce_bytes(*topology_, place_.all_reduce->self(), place_.all_reduce->world_size(),
                          sums_.size());
}

void PeerProcess::give_up(const Fault& fault) {
  // Others may have heard before us who is lost, and left: the recorder knows.
  const auto end = Clock::now() + kWordOfALoss;
  while (!over() && Clock::now() < end) pump(Clock::now() + kExchangePoll);
  if (over()) return;
  throw RunError("client " + std::to_string(fault.peer) + " is lost (" + fault.reason +
                 "); topology.name = " + options_.text("topology.name") + " cannot go on without it");
}

// Gradients are exchanged while the peers train, and their updates are one and the same.
void PeerProcess::gradient_rounds() {
  const ClientId client = place_.clients.front();
  Peer& peer = peers_.at(client);
  const auto idle = [this](int turns) {
    if (turns % kTurnsBetweenLooks != kTurnsBetweenLooks - 1) return;
    pump(Clock::now() + (turns < kBusyStepTurns ? std::chrono::microseconds{0} : kIdleCollective));
    if (over()) throw WorkCalledOff();
  };
  GradientExchange& exchange =
      exchange_.emplace(*place_.all_reduce, *topology_, exchange_settings(options_), idle);
  while (await([&] { return peer.granted > peer.completed; })) {
    try {
      const auto update = train(client, peer.completed + 1, &exchange);
      if (!update) return;
      accept(peer.model.add(*update, *plain_), client);
      const ExchangeBytes bytes = exchange.take_bytes();
      peer.sent += bytes.sent;
      peer.received += bytes.received;
      complete(client, update->info);
    } catch (const ExchangeBroken& broken) {
      training_ = false;
      return give_up(broken.fault());
    }
  }
}

}  // namespace gossamer

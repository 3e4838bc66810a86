#include "simulation/simulation.h"

#include "comms/codec.h"

namespace gossamer {
Simulation::Simulation(const Options& options, const FederatedData& data, TrainerPool& pool)
    : data_(data),
      pool_(pool),
      devices_(options),
      evaluator_(pool, data.test()),
      run_id_(options.digest()),
      keeps_state_(algorithms().make(options)->keeps_client_state()) {
  if (sync_policies().make(options)->lockstep() && options.text("sync.late") == "finish")
    busy_until_.emplace();
  const std::size_t floats = pool.clients().front()->model().layout()->size();
  if (const auto payload = up_compressors().make(options)->payload_bytes(floats))
    update_bytes_ = kFrameHeaderBytes + *payload;
}

// Work under way uses the states of this object.
Simulation::~Simulation() {
  for (const auto& [work, update] : training_) update.wait();
}

std::string Simulation::run(Coordinator& coordinator, RunKeeper& keeper,
                            const std::function<bool()>& stop_requested) {
  now_ = keeper.time_offset();
  for (ClientId client = 0; client < coordinator.population(); ++client) {
    perform(coordinator.joined(client, now_), coordinator, keeper);
  }
  while (!finish_ && !events_.empty()) {
    if (stop_requested()) return "signal";
    const Event event = events_.top();
    events_.pop();
    now_ = std::max(now_, event.time);
    perform(handle(event, coordinator, keeper), coordinator, keeper);
  }
  if (!finish_) throw std::logic_error("simulation: nothing left to happen, and the run has not finished");
  if (!finish_->success) throw RunError(finish_->reason);
  return finish_->reason;
}

void Simulation::perform(const Actions& first, Coordinator& coordinator, RunKeeper& keeper) {
  Actions actions = first;
  while (!actions.empty()) {
    Actions next;
    for (const Action& action : actions) {
      if (const auto* send = std::get_if<SendModel>(&action)) start(*send, keeper);
      if (const auto* abandon = std::get_if<Abandon>(&action)) call_off(*abandon);
      if (const auto* commit = std::get_if<Commit>(&action)) {
        next = coordinator.committed(keeper.commit(*commit, coordinator), now_);
      }
      if (const auto* finish = std::get_if<Finish>(&action)) finish_ = *finish;
    }
    actions = std::move(next);
  }
}

void Simulation::start(const SendModel& send, RunKeeper& keeper) {
  if (send.deadline) schedule(*send.deadline, EventKind::deadline, send.round, 0);
  const auto sequence = static_cast<std::uint64_t>(send.round);
  const Frame model = encode_model(run_id_, send.round, send.clients.front(), sequence, send.model);
  for (const ClientId client : send.clients) {
    const Frame frame = readdress(model, client, sequence);
    if (!send.again) keeper.count_down(frame.wire_bytes());  // a resumed run has counted it
    give(send, client, frame);
  }
  train_ahead();
}

void Simulation::give(const SendModel& send, ClientId client, const Frame& model) {
  const Round round = send.round;
  Seconds begin = send.since;
  if (busy_until_) begin = std::max(begin, (*busy_until_)[client]);
  begin += devices_.waiting_seconds(client, begin);
  begin += devices_.download_seconds(model.wire_bytes(), client, round);
  const Seconds training = devices_.training_seconds(data_.examples(client), client, round);
  if (devices_.drops_out(client, round)) {
    return schedule(begin + devices_.dropout_point(client, round) * training, EventKind::gave_up, round,
                    client);
  }
  const Seconds trained = begin + training;
  if (busy_until_) (*busy_until_)[client] = trained;
  if (update_bytes_) {
    schedule(trained + devices_.upload_seconds(*update_bytes_, client, round), EventKind::arrived, round,
             client);
  } else {
    schedule(trained, EventKind::trained, round, client);
  }
  const Work work{round, client};
  planned_.try_emplace(under_way_.at(work), work, model);
}

void Simulation::call_off(const Abandon& abandon) {
  for (const ClientId client : abandon.clients) {
    const Work work{abandon.round, client};
    const auto due = under_way_.find(work);
    if (due == under_way_.end()) continue;
    planned_.erase(due->second);
    training_.erase(work);  // what has begun ends for nobody
    on_the_way_.erase(work);
    under_way_.erase(due);
  }
}

void Simulation::train(const Work& work, const Frame& model) {
  ClientState* state = keeps_state_ ? &states_.of(work.second) : nullptr;
  training_[work] = pool_.submit([model, state](Client& worker) -> Result<Frame> {
    auto received = pass_through(model);
    if (!received) return received;
    return worker.take_part(received.value(), state);
  });
}

void Simulation::train_ahead() {
  // One more than there are threads: who ends early has a next one.
  const std::size_t most = static_cast<std::size_t>(pool_.threads()) + 1;
  while (!planned_.empty() && training_.size() < most) {
    const auto [work, model] = std::move(planned_.extract(planned_.begin()).mapped());
    train(work, model);
  }
}

// Waits for the real training behind the event.
Result<Frame> Simulation::trained(const Event& event) {
  const Work work{event.round, event.client};
  // Those trained ahead may all be due later.
  if (const auto node = planned_.extract({event.time, event.order})) train(work, node.mapped().second);
  Result<Frame> update = training_.at(work).get();
  training_.erase(work);
  train_ahead();
  return update;
}

Actions Simulation::handle(const Event& event, Coordinator& coordinator, RunKeeper& keeper) {
  if (event.kind == EventKind::deadline) return coordinator.deadline(event.round, now_);
  const Work work{event.round, event.client};
  const auto due = under_way_.find(work);
  if (due == under_way_.end() || due->second != Due{event.time, event.order}) return {};  // called off
  under_way_.erase(due);
  if (event.kind == EventKind::gave_up) return coordinator.dropped(event.client, event.round, now_);
  if (event.kind == EventKind::trained) {
    Result<Frame> update = trained(event);
    if (!update) return coordinator.left(event.client, update.fault().reason, now_);
    schedule(now_ + devices_.upload_seconds(update.value().wire_bytes(), event.client, event.round),
             EventKind::arrived, event.round, event.client);
    on_the_way_[work] = std::move(update).value();
    return {};
  }
  const auto sent = on_the_way_.extract(work);
  const Result<Frame> outcome = sent ? Result<Frame>(std::move(sent.mapped())) : trained(event);
  if (!outcome) return coordinator.left(event.client, outcome.fault().reason, now_);
  const Frame& frame = outcome.value();
  if (update_bytes_ && frame.wire_bytes() != *update_bytes_)
    throw std::logic_error("simulation: an update is not as long as its compressor says");
  keeper.count_up(frame.wire_bytes());
  auto received = pass_through(frame);
  if (!received) return coordinator.left(event.client, received.fault().reason, now_);
  auto update = decode_update(received.value());
  if (!update) return coordinator.left(event.client, update.fault().reason, now_);
  Actions actions = coordinator.arrived(update.value(), now_);
  keeper.show(coordinator.progress());
  return actions;
}

void Simulation::schedule(Seconds time, EventKind kind, Round round, ClientId client) {
  const Event event{time, order_++, kind, round, client};
  events_.push(event);
  if (kind != EventKind::deadline) under_way_[{round, client}] = {event.time, event.order};
}

}  // namespace gossamer

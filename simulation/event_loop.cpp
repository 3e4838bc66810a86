#include "simulation/event_loop.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <stdexcept>
#include <utility>

#include "comms/codec.h"
#include "core/error.h"

namespace gossamer {

EventLoop::EventLoop(const Options& options, VirtualClients& clients, Lengths update_lengths)
    : clients_(clients),
      devices_(options),
      encoder_(options.digest()),
      on_request_(options.text("sync.pull") == "on_request"),
      update_lengths_(std::move(update_lengths)),
      update_bytes_(std::accumulate(update_lengths_.begin(), update_lengths_.end(), std::size_t{0})),
      divided_(options.integer("server.shards") > 1),
      lines_(options) {
  if (sync_policies().make(options)->lockstep() && options.text("sync.late") == "finish")
    busy_until_.emplace();
}

std::string EventLoop::run(Coordination& coordinator, RunKeeper& keeper,
                           const std::function<bool()>& stop_requested) {
  now_ = keeper.time_offset();
  for (ClientId client = 0; client < coordinator.population(); ++client)
    perform(coordinator.joined(client, now_), coordinator, keeper);
  for (ClientId client = 0; on_request_ && client < coordinator.population(); ++client)
    perform(coordinator.ready(client, now_), coordinator, keeper);
  while (!finish_ && !(events_.empty() && planned_.empty())) {
    if (stop_requested()) return "signal";
    const Event event = next_event();
    now_ = std::max(now_, event.time);
    perform(handle(event, coordinator, keeper), coordinator, keeper);
  }
  if (!finish_) throw std::logic_error("simulation: nothing left to happen, and the run has not finished");
  if (!finish_->success) throw RunError(finish_->reason);
  return finish_->reason;
}

void EventLoop::perform(const Actions& first, Coordination& coordinator, RunKeeper& keeper) {
  const Actions* actions = &first;
  Actions next;
  while (!actions->empty()) {
    Actions after;
    for (const Action& action : *actions) {
      if (const auto* send = std::get_if<SendModel>(&action)) start(*send, keeper);
      if (const auto* abandon = std::get_if<Abandon>(&action)) call_off(*abandon);
      if (const auto* commit = std::get_if<Commit>(&action)) after = next_after(*commit, coordinator, keeper);
      if (const auto* finish = std::get_if<Finish>(&action)) finish_ = *finish;
      if (const auto* wake = std::get_if<Wake>(&action)) remind(wake->token, wake->at);
    }
    next = std::move(after);
    actions = &next;
  }
}

Actions EventLoop::next_after(const Commit& commit, Coordination& coordinator, RunKeeper& keeper) {
  const auto accuracy = keeper.commit(commit, coordinator);
  if (keeper.out_of_budget()) return {Finish{true, RunKeeper::kOutOfBudget}};
  return coordinator.committed(accuracy, now_);
}

void EventLoop::remind(Round token, Seconds at) {
  deadlines_[order_] = token;
  events_.push({at, order_++, kDeadline});
}

void EventLoop::start(const SendModel& send, RunKeeper& keeper) {
  if (!keeper.spend(send)) {
    finish_ = {true, RunKeeper::kOutOfBudget};
    return;
  }
  if (send.deadline) remind(send.round, *send.deadline);
  const Parcel& model =
      encoder_.encode(send.round, send.clients.front(), send.model, send.more, send.terms, send.bases);
  for (const ClientId client : send.clients) {
    if (!send.again) keeper.count_down(model.wire_bytes());  // a resumed run has counted it
    give(send, readdress(model, client));
  }
  train_ahead();
}

void EventLoop::give(const SendModel& send, Parcel model) {
  const ClientId client = model.header().client;
  Seconds begin = send.since;
  if (busy_until_) begin = std::max(begin, (*busy_until_)[client]);
  begin += devices_.waiting_seconds(client, begin);
  const Work work = take_slot(std::move(model));
  slots_[work].steps = send.terms.steps;
  if (lines_.limited()) {  // taken in turn, so not before its time
    schedule(begin, EventKind::pulled, work);
  } else {
    pull(work, begin);
  }
}

// The model leaves for its client, at `begin`.
void EventLoop::pull(Work work, Seconds begin) {
  Slot& slot = slots_[work];
  const ClientId client = slot.model.header().client;
  const Round round = slot.model.header().round;
  const Seconds here = deliver(slot.model, begin);
  const Seconds training = devices_.training_seconds(clients_.examples(client), client, round, slot.steps);
  if (devices_.drops_out(client, round)) {
    schedule(here + devices_.dropout_point(client, round) * training, EventKind::gave_up, work);
    return;
  }
  slot.ready = here + training;
  if (busy_until_) (*busy_until_)[client] = slot.ready;
  // What is exchanged on request goes out before the training.
  const Seconds leaves = on_request_ ? here : slot.ready;
  if (update_lengths_.empty()) {
    schedule(leaves, EventKind::trained, work);
  } else {
    push(work, update_bytes_, leaves);
  }
}

// When the last of a model is with its client. Frames of several shards leave by a line each, and share the
// client's link: it has them when the last one has left its shard, and when its link has had time for all.
Seconds EventLoop::deliver(const Parcel& model, Seconds begin) {
  const ClientId client = model.header().client;
  const Round round = model.header().round;
  if (!divided_) {
    const std::size_t bytes = model.wire_bytes();
    const SharedLine::Turn turn = lines_.above(client).send(bytes, begin);
    return std::max(turn.begin + devices_.download_seconds(bytes, client, round),
                    turn.end + devices_.latency());
  }
  Seconds first = INFINITY, here = 0;
  for (std::size_t s = 0; s < model.frames(); ++s) {
    const std::size_t bytes = model[s].wire_bytes();
    const SharedLine::Turn turn = lines_.of_shard(s).send(bytes, begin);
    first = std::min(first, turn.begin);
    here = std::max(
        {here, turn.begin + devices_.download_seconds(bytes, client, round), turn.end + devices_.latency()});
  }
  return std::max(here, first + devices_.download_seconds(model.wire_bytes(), client, round));
}

// When the last of an update, which begins to come in now, has passed the server's lines.
Seconds EventLoop::take_in(const Slot& slot, ClientId client, Seconds begin) {
  const auto length = [&](std::size_t s) {
    return update_lengths_.empty() ? slot.update[s].wire_bytes() : update_lengths_[s];
  };
  if (!divided_) return lines_.above(client).receive(length(0), begin).end;
  Seconds last = begin;
  for (std::size_t s = 0; s < slot.model.frames(); ++s)
    last = std::max(last, lines_.of_shard(s).receive(length(s), begin).end);
  return last;
}

// An update of so many bytes leaves its client.
void EventLoop::push(Work work, std::size_t bytes, Seconds leaves) {
  const FrameHeader& model = slots_[work].model.header();
  const Seconds last_byte = leaves + devices_.upload_seconds(bytes, model.client, model.round);
  if (!lines_.limited()) return schedule(last_byte, EventKind::arrived, work);
  slots_[work].last_byte = last_byte;
  schedule(leaves + devices_.latency(), EventKind::pushed, work);
}

void EventLoop::call_off(const Abandon& abandon) {
  for (Work work = 0; work < slots_.size(); ++work) {
    const Slot& slot = slots_[work];
    if (slot.due == Slot::kNothing || slot.model.header().round != abandon.round ||
        !std::ranges::binary_search(abandon.clients, slot.model.header().client))
      continue;
    if (slot.begun) {
      clients_.forget(work);  // what has begun ends for nobody
      --begun_;
    }
    release(work);
  }
}

void EventLoop::schedule(Seconds time, EventKind kind, Work work) {
  Slot& slot = slots_[work];
  const Event event{time, order_++, work};
  slot.due = event.order;
  slot.kind = kind;
  const bool needs_training =
      kind == EventKind::trained ||
      (!update_lengths_.empty() && (kind == EventKind::pushed || kind == EventKind::arrived));
  (needs_training && !slot.begun ? planned_ : events_).push(event);
}

EventLoop::Event EventLoop::next_event() {
  Events& first =
      planned_.empty() || (!events_.empty() && planned_.top() > events_.top()) ? events_ : planned_;
  const Event event = first.top();
  first.pop();
  return event;
}

EventLoop::Work EventLoop::take_slot(Parcel model) {
  if (free_.empty()) {
    free_.push_back(static_cast<Work>(slots_.size()));
    slots_.emplace_back();
  }
  const Work work = free_.back();
  free_.pop_back();
  slots_[work].model = std::move(model);
  return work;
}

void EventLoop::Slot::clear() {
  due = kNothing;
  for (Parcel* parcel : {&model, &update}) {
    parcel->first.payload = {};
    parcel->more.clear();
  }
  begun = false;
}

void EventLoop::release(Work work) {
  slots_[work].clear();
  free_.push_back(work);
}

void EventLoop::begin(Work work) {
  Slot& slot = slots_[work];
  slot.begun = true;
  ++begun_;
  clients_.begin(work, slot.model);
}

void EventLoop::train_ahead() {
  while (!planned_.empty() && begun_ < clients_.ahead()) {
    const Event next = planned_.top();
    planned_.pop();
    if (slots_[next.work].due != next.order) continue;  // called off
    begin(next.work);
    events_.push(next);
  }
}

// Waits for the real training behind an event.
Result<Parcel> EventLoop::outcome_of(Work work) {
  if (!slots_[work].begun) begin(work);  // those begun ahead may all be due later
  Result<Parcel> outcome = clients_.outcome(work);
  slots_[work].begun = false;
  --begun_;
  train_ahead();
  return outcome;
}

Actions EventLoop::handle(const Event& event, Coordination& coordinator, RunKeeper& keeper) {
  if (event.work == kDeadline) return coordinator.deadline(deadlines_.extract(event.order).mapped(), now_);
  Slot& slot = slots_[event.work];
  if (slot.due != event.order) return {};  // called off
  ++handled_;
  const ClientId client = slot.model.header().client;
  const Round round = slot.model.header().round;
  switch (slot.kind) {
    case EventKind::pulled: {
      // Of a resumed run, events may lie in the past.
      Seconds begin = busy_until_ ? std::max(event.time, (*busy_until_)[client]) : event.time;
      begin += devices_.waiting_seconds(client, begin);
      if (begin > event.time) {
        schedule(begin, EventKind::pulled, event.work);
      } else {
        pull(event.work, begin);
        train_ahead();
      }
      return {};
    }
    case EventKind::gave_up: {
      release(event.work);
      Actions actions = coordinator.dropped(client, round, now_);
      if (on_request_) std::ranges::move(coordinator.ready(client, now_), std::back_inserter(actions));
      return actions;
    }
    case EventKind::trained: {
      slot.due = Slot::kNothing;
      Result<Parcel> update = outcome_of(event.work);
      if (!update) {
        release(event.work);
        return coordinator.left(client, update.fault().reason, now_);
      }
      slots_[event.work].update = std::move(update).value();
      push(event.work, slots_[event.work].update.wire_bytes(), now_);
      return {};
    }
    case EventKind::pushed: {
      const Seconds last_byte = std::max(slot.last_byte, take_in(slot, client, event.time));
      schedule(last_byte, EventKind::arrived, event.work);
      return {};
    }
    case EventKind::ready:
      clients_.wait(event.work);
      release(event.work);
      keeper.count_control(kFrameHeaderBytes);
      return coordinator.ready(client, now_);
    default:
      return arrive(event, coordinator, keeper);
  }
}

Actions EventLoop::arrive(const Event& event, Coordination& coordinator, RunKeeper& keeper) {
  const Work work = event.work;
  slots_[work].due = Slot::kNothing;
  const FrameHeader model = slots_[work].model.header();
  const bool length_known = !update_lengths_.empty();
  Result<Parcel> outcome = length_known ? outcome_of(work) : Result<Parcel>(std::move(slots_[work].update));
  const auto lose = [&](const std::string& reason) {
    release(work);
    return coordinator.left(model.client, reason, now_);
  };
  if (!outcome) return lose(outcome.fault().reason);
  const std::size_t bytes = outcome.value().wire_bytes();
  if (length_known && bytes != update_bytes_)
    throw std::logic_error("simulation: an update is not as long as its compressor says");
  keeper.count_up(bytes);
  auto received = pass_through(std::move(outcome).value());
  if (!received) return lose(received.fault().reason);
  auto decoded = decode_update(std::move(received).value());
  if (!decoded) return lose(decoded.fault().reason);
  CompressedUpdate update = std::move(decoded).value();
  if (update.info.tau) {
    // What a step takes is a matter of the virtual clock.
    auto report = std::make_shared<TauReport>(*update.info.tau);
    const std::int64_t steps = std::max<std::int64_t>(1, model.samples);
    report->step_s =
        devices_.training_seconds(clients_.examples(model.client), model.client, model.round, steps) /
        static_cast<double>(steps);
    update.info.tau = std::move(report);
  }
  if (on_request_) {
    // The client trains on, and then says that it is ready.
    clients_.go_on(work, model);
    const Seconds ready = std::max(now_, slots_[work].ready);
    schedule(ready + devices_.upload_seconds(kFrameHeaderBytes, model.client, model.round), EventKind::ready,
             work);
  } else {
    release(work);
  }
  Actions actions = coordinator.arrived(update, now_);
  keeper.show(coordinator.progress());
  return actions;
}

}  // namespace gossamer

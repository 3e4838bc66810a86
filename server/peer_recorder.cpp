#include "server/peer_recorder.h"

#include <algorithm>
#include <utility>

#include "comms/codec.h"
#include "core/logging.h"

namespace gossamer {

PeerRecorder::PeerRecorder(const Options& options, PeerCoordinator& coordinator, RunKeeper& keeper, Send send,
                           std::function<Seconds()> now)
    : coordinator_(coordinator),
      keeper_(keeper),
      send_(std::move(send)),
      now_(std::move(now)),
      run_id_(options.digest()) {}

void PeerRecorder::join(ClientId client) {
  PeerActions actions = coordinator_.joined(client, now_());
  if (coordinator_.is_running() && !std::exchange(began_, true)) {
    for (ClientId peer = 0; peer < coordinator_.population(); ++peer) {
      tell(peer,
           encode_model(run_id_, coordinator_.version(), peer, 0, as_they_are(coordinator_.start_of(peer))));
    }
  }
  perform(std::move(actions));
}

void PeerRecorder::leave(ClientId client, const std::string& reason) {
  if (!coordinator_.is_present(client)) return;
  log_warning("client " + std::to_string(client) + " is lost: " + reason);
  PeerActions actions = coordinator_.left(client, reason, now_());
  for (ClientId peer = 0; began_ && peer < coordinator_.population(); ++peer) {
    if (coordinator_.is_present(peer)) tell(peer, encode_signal(FrameType::lost, run_id_, client));
  }
  perform(std::move(actions));
}

void PeerRecorder::take(const Frame& frame) {
  const ClientId client = frame.header.client;
  keeper_.count_control(frame.wire_bytes());
  if (client >= coordinator_.population() || !coordinator_.is_present(client)) return;
  switch (frame.header.type) {
    case FrameType::report:
      if (const auto report = decode_report(frame)) perform(coordinator_.reported(report.value(), now_()));
      break;
    case FrameType::state:
      perform(coordinator_.shown(frame, now_()));
      break;
    case FrameType::leave:
      leave(client, decode_text(frame).value_or("no reason given"));
      break;
    default:
      break;
  }
}

void PeerRecorder::stop() { perform(coordinator_.stop(now_())); }

void PeerRecorder::perform(PeerActions actions) {
  while (!actions.empty()) {
    PeerActions next;
    for (const PeerAction& action : actions) {
      if (const auto* grant = std::get_if<Grant>(&action)) {
        if (!keeper_.spend_grant(grant->round)) return stop();
        perform(*grant);
      }
      if (const auto* show = std::get_if<Show>(&action)) {
        for (const ClientId client : show->clients)
          tell(client, encode_signal(FrameType::show, run_id_, client, show->round));
      }
      if (const auto* commit = std::get_if<Commit>(&action)) {
        next = coordinator_.committed(keeper_.commit(*commit, coordinator_), now_());
      }
      if (const auto* finish = std::get_if<Finish>(&action)) {
        end_ = *finish;
        for (ClientId client = 0; client < coordinator_.population(); ++client) {
          if (!coordinator_.is_present(client)) continue;
          tell(client, encode_finish(run_id_, client, finish->reason, finish->success));
        }
      }
    }
    actions = std::move(next);
  }
}

void PeerRecorder::perform(const Grant& grant) {
  for (const ClientId client : grant.present) {
    const bool shows = std::ranges::find(grant.show, client) != grant.show.end();
    tell(client, encode_signal(FrameType::grant, run_id_, client, grant.round, shows ? 1 : 0));
  }
}

void PeerRecorder::tell(ClientId client, const Frame& frame) {
  keeper_.count_control(frame.wire_bytes());
  send_(client, frame);
}

}  // namespace gossamer

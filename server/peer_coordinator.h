#pragma once

#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <variant>
#include <vector>

#include "comms/peer_codec.h"
#include "comms/topologies/topology.h"
#include "core/checkpoint_schedule.h"
#include "core/versioned_model.h"
#include "server/coordinator.h"
#include "server/members.h"

namespace gossamer {

// As much as a peer may show, in vectors as long as the model: the model, and what its compression keeps.
inline constexpr std::size_t kMostPeerVectors = 4;
// Whether they show more than the model: what their compression has left out so far, or, where they gossip of
// differences, what the others know of it.
bool peers_show_more(const Options& options);

// What the coordinator of peers asks its driver to do, in order; Commit and Finish as in coordinator.h.
struct Grant {
  Round round;                    // may begin
  std::vector<ClientId> present;  // to whom that is said
  std::vector<ClientId> show;     // whose state is asked for at its end
};
struct Show {
  Round round;  // lockstep: after that round; otherwise: now
  std::vector<ClientId> clients;
};
using PeerAction = std::variant<Grant, Show, Commit, Finish>;
using PeerActions = std::vector<PeerAction>;

// The state machine of a run without a server: who is there, how far the peers may go, when a round of the
// run is over. It carries no updates: peers report what their rounds came to, and show their models where one
// is evaluated or saved. Then the model is the mean of the peers' models (of those who all have the same one,
// that one), and consensus_distance says how far they are from it.
//
// In lockstep a round of the run is everybody's round of work, and nobody is more than two rounds ahead of
// it. Otherwise it is as many rounds of work as there are peers, whoever did them. Deterministic; no I/O, no
// clock. Not thread-safe.
class PeerCoordinator final : public VersionedModel {
 public:
  PeerCoordinator(const Options& options, std::shared_ptr<const Parameters> initial);

  // Events. Work starts when all data.clients peers have joined; nobody joins after that.
  PeerActions joined(ClientId client, Seconds now);
  PeerActions left(ClientId client, const std::string& reason, Seconds now);
  PeerActions reported(const PeerReport& report, Seconds now);
  // A peer's model, and what else it keeps: `state` as encode_state() made it. A malformed one is a peer that
  // leaves.
  PeerActions shown(const Frame& state, Seconds now);
  PeerActions committed(std::optional<double> accuracy, Seconds now);
  // Ends the run at a round that everybody can complete.
  PeerActions stop(Seconds now);

  bool is_running() const noexcept { return running_; }
  std::int64_t population() const noexcept { return members_.population(); }
  bool is_present(ClientId client) const { return members_.is_present(client); }
  // What a peer begins with: what it has shown before the checkpoint, or the initial model.
  SharedFloats start_of(ClientId client) const;

  Round version() const noexcept override { return version_; }
  const std::shared_ptr<const Parameters>& model() const noexcept override { return model_; }
  bool can_save() const noexcept override {
    return states_round_ == version_ &&
           (!shows_more_ || !needs_everybody_ || std::ssize(states_) == population());
  }
  void save(CheckpointWriter& writer) override;
  void restore(const CheckpointReader& reader) override;

 private:
  struct Open {
    std::map<ClientId, PeerReport> reports;
    std::map<ClientId, std::shared_ptr<FloatBuffer>> states;
  };

  bool due(Round round) const;
  bool saves(Round round) const;
  std::vector<ClientId> showing(Round round) const;
  PeerActions grant_up_to(Round round);
  PeerActions go_on(Seconds now);
  PeerActions close_if_ready(Seconds now);
  PeerActions close(Seconds now);
  PeerActions finish(bool success, std::string reason);
  std::optional<double> take_mean();
  bool stopping_at(Round round) const;

  const bool lockstep_;
  const bool needs_everybody_;  // and all have the same model
  const bool shows_more_;       // each of them: peers_show_more()
  const bool conceals_;         // peers say nothing of their losses
  const std::string topology_;
  const Round rounds_, eval_every_;
  const std::int64_t min_size_;
  const double target_accuracy_;
  const CheckpointSchedule schedule_;
  Members members_;
  bool running_ = false;
  bool finished_ = false;
  bool stopping_ = false;
  bool committing_ = false;  // until the driver says committed()
  Round version_ = 0;
  Round granted_ = 0;
  std::optional<Round> forced_;  // the round at whose end a stopped run is
  std::int64_t dropped_ = 0;     // since the last commit
  std::int64_t rejected_ = 0;
  std::map<Round, Open> open_;      // lockstep: by round
  std::deque<PeerReport> reports_;  // otherwise: not yet part of a round
  std::optional<Open> closing_;     // otherwise: the round that waits for states
  std::shared_ptr<const Parameters> model_;
  std::map<ClientId, std::shared_ptr<FloatBuffer>> states_;  // at the end of states_round_
  Round states_round_ = 0;
};

}  // namespace gossamer

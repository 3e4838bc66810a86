#pragma once

#include <map>
#include <set>

#include "server/adaptive_tau.h"
#include "server/cohort/cohort_sampler.h"
#include "server/coordinator.h"
#include "server/method_choice.h"

namespace gossamer {

// Rounds in lockstep: a cohort starts together, and its updates become a model when the policy is ready.
class LockstepCoordinator final : public Coordinator {
 public:
  LockstepCoordinator(const Options& options, std::shared_ptr<const Parameters> initial,
                      Children children = {});

  Actions joined(ClientId client, Seconds now) override;
  Actions left(ClientId client, const std::string& reason, Seconds now) override;
  Actions arrived(const CompressedUpdate& update, Seconds now) override;
  Actions dropped(ClientId client, Round round, Seconds now) override;
  Actions deadline(Round round, Seconds now) override;

  void rebase(std::shared_ptr<const Parameters> model, Round version) override;
  void save(CheckpointWriter& writer) override;
  void restore(const CheckpointReader& reader) override;

 private:
  enum class Slot { waiting, held, added, lost };
  struct Participant {
    Slot slot = Slot::waiting;
    std::optional<CompressedUpdate> update;  // held until its turn in client order
  };

  Actions go_on(Seconds now) override;
  Actions start_round(Seconds now);
  // The round's model to its cohort, as each needs it.
  Actions send_model(const std::vector<ClientId>& cohort, Seconds now);
  Actions commit_if_ready(Seconds now);
  // Makes the next model of what was added; true where it is the run's last.
  bool make_model(Seconds now);
  void add_in_client_order(bool skip_waiting);
  void lose(Participant& participant);
  std::size_t method() const { return choice_ ? choice_->method() : 0; }
  WorkTerms terms() const {
    return {control_ ? control_->steps() : 0, method(), server_.round_clip_norm().value_or(0)};
  }
  std::string observe_method(Seconds now);
  std::vector<ClientId> sample_cohort() const;

  const std::unique_ptr<CohortSampler> sampler_;
  const Seconds deadline_s_;
  const double straggler_fraction_;     // whose partial work is dropped
  std::optional<AdaptiveTau> control_;  // sync.local_steps = adaptive
  std::vector<AdaptiveTau::Reported> reports_;
  std::optional<MethodChoice> choice_;      // compression.up = auto
  double delivered_ = 0;                    // by the updates of the round, together
  std::shared_ptr<const Parameters> best_;  // as far as they were measured
  Seconds since_ = 0;                       // when the round began
  ModelStream::Broadcast broadcast_;
  std::set<ClientId> up_to_date_;  // whose update of the newest round came in: they hold its model
  std::map<ClientId, Participant> participants_;
  std::map<ClientId, Round> late_;  // who had not answered when that round was over, and has not since
};

}  // namespace gossamer

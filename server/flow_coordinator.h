#pragma once

#include <vector>

#include "server/coordinator.h"
#include "server/lap_counts.h"
#include "server/staleness/staleness_weight.h"

namespace gossamer {

// Everybody goes on by itself: an update becomes part of the model when the policy says so, and its sender
// gets the model of that moment. At any time cohort_size() clients are at work, drawn from those who are
// idle; or all of them, where the policy wants that. A client's clock counts its own rounds of work. With
// sync.pull = on_request a client is idle once it has said that it is ready, and its work ends with its
// update; what it does after that is its own affair.
class FlowCoordinator final : public Coordinator {
 public:
  FlowCoordinator(const Options& options, std::shared_ptr<const Parameters> initial, Children children = {});

  Actions joined(ClientId client, Seconds now) override;
  Actions left(ClientId client, const std::string& reason, Seconds now) override;
  Actions arrived(const CompressedUpdate& update, Seconds now) override;
  Actions dropped(ClientId client, Round round, Seconds now) override;
  Actions deadline(Round round, Seconds now) override;
  Actions ready(ClientId client, Seconds now) override;

  std::vector<HeldWork> held_work() const override;
  bool can_save() const noexcept override { return at_commit_; }
  void save(CheckpointWriter& writer) override;
  void restore(const CheckpointReader& reader) override;

 private:
  // Work that a client is at: its next round, on the model of `version`.
  struct Task {
    ClientId client = 0;
    Round version = 0;
    std::shared_ptr<const Parameters> base;
    std::uint64_t order = 0;  // in which tasks were given out
    Seconds since = 0;
  };

  struct SavedTask {
    ClientId client;
    Round version;
    std::uint64_t order;
    std::uint64_t base;  // number of its section
    Seconds since;
  };

  Actions go_on(Seconds now) override;
  // Starts whoever may start; ends the run where nobody can any more.
  Actions start_work(Seconds now);
  // Ends the round where the policy says that it is over.
  std::optional<Commit> advance(Seconds now);
  void give(ClientId client, Seconds now, Actions& actions);
  ClientId draw_idle();
  // Null where the client has none. Pointers are good until the next task is added or removed.
  Task* task_of(ClientId client);
  Task& add_task(ClientId client);
  bool remove_task(ClientId client);
  void end_task(ClientId client);
  void count_lap(Round clock, int change);
  Round& clock_of(ClientId client) { return clocks_[members_.index_of(client)]; }

  const std::unique_ptr<StalenessWeight> staleness_weight_;
  const bool everybody_works_;
  const bool on_request_;
  std::vector<Task> tasks_;                // in no order
  std::vector<std::uint32_t> task_index_;  // of each client, in tasks_
  std::vector<Round> clocks_;              // rounds of work that each client has completed
  LapCounts laps_;                  // everybody_works_: of those present, how many have completed so many
  std::vector<ClientId> idle_;      // present and without work
  std::vector<ClientId> waiting_;   // those of them whom start_work() looks at
  std::vector<ClientId> standing_;  // the same of the checkpoint that the run goes on from
  std::uint64_t given_ = 0;         // tasks given out so far
  Round model_version_ = 0;         // changes of the model so far
  bool at_commit_ = true;           // nothing has happened since the last round's end
  std::shared_ptr<const Parameters> encoded_;  // what broadcast_ holds
  Compressed broadcast_;
};

}  // namespace gossamer

#pragma once

#include <boost/heap/d_ary_heap.hpp>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <tuple>
#include <vector>

#include "server/coordinator.h"
#include "server/run_keeper.h"
#include "simulation/device_model.h"
#include "simulation/shared_line.h"
#include "simulation/virtual_clients.h"

namespace gossamer {

// The driver of the coordinator in virtual time. Events are handled in the order of virtual time (then of
// their making), so a run does not depend on the number of threads behind the clients. Their work is begun in
// the order in which it is due, little more than can be done at once: memory is that of the updates under way
// and of what the coordinator holds. (Where an update's length is known only after training, the round's
// updates wait for one another.)
class EventLoop {
 public:
  // How long each frame of an update is, one a shard; empty: that is not known before training.
  using Lengths = std::vector<std::size_t>;
  // All references outlive the loop.
  EventLoop(const Options& options, VirtualClients& clients, Lengths update_lengths);

  // Runs to the end. `stop_requested` is asked between events; when it says yes, the round under way is
  // abandoned. Returns what ended the run, as summary.json's stopped_by says it. Throws RunError where the
  // run could not finish.
  std::string run(Coordination& coordinator, RunKeeper& keeper, const std::function<bool()>& stop_requested);

  // Events handled so far.
  std::uint64_t events() const noexcept { return handled_; }

 private:
  using Work = VirtualClients::Work;
  // pulled and pushed, where clients share the server's line: a model, or an update, comes to its turn there.
  enum class EventKind : std::uint8_t { pulled, trained, pushed, arrived, gave_up, ready };
  static constexpr Work kDeadline = UINT32_MAX;  // in place of work: a round's deadline, or a Wake
  // Small, since a thousand of them are compared and moved all the time; the slot knows the rest.
  struct Event {
    Seconds time;
    std::uint64_t order;
    Work work;
    bool operator>(const Event& other) const {
      return std::tie(time, order) > std::tie(other.time, other.order);
    }
  };
  // One round of work of one client. (A client that is late may be at work on two.)
  struct Slot {
    static constexpr std::uint64_t kNothing = UINT64_MAX;
    std::uint64_t due = kNothing;  // the event that it waits for; any other is one that was called off
    Parcel model;
    Parcel update;                        // on its way
    Seconds ready = 0;                    // on_request: when local training ends
    Seconds last_byte = 0;                // pushed: when the client's own link is done with it
    std::int64_t steps = 0;               // WorkTerms::steps
    EventKind kind = EventKind::arrived;  // of that event
    bool begun = false;

    // Lets go of the frames' memory; what is next here sets everything else.
    void clear();
  };
  // The earliest first. Flat: a level of a heap costs a wrong guess of the processor, whatever its width.
  using Events = boost::heap::d_ary_heap<Event, boost::heap::arity<4>, boost::heap::compare<std::greater<>>>;

  void perform(const Actions& actions, Coordination& coordinator, RunKeeper& keeper);
  void start(const SendModel& send, RunKeeper& keeper);
  Actions handle(const Event& event, Coordination& coordinator, RunKeeper& keeper);
  Actions arrive(const Event& event, Coordination& coordinator, RunKeeper& keeper);
  // Records it, and says how it goes on.
  Actions next_after(const Commit& commit, Coordination& coordinator, RunKeeper& keeper);
  void remind(Round token, Seconds at);
  void give(const SendModel& send, Parcel model);
  void pull(Work work, Seconds begin);
  void push(Work work, std::size_t bytes, Seconds leaves);
  void call_off(const Abandon& abandon);
  void schedule(Seconds time, EventKind kind, Work work);
  Event next_event();
  void begin(Work work);
  void train_ahead();
  Seconds deliver(const Parcel& model, Seconds begin);
  Seconds take_in(const Slot& slot, ClientId client, Seconds begin);
  Result<Parcel> outcome_of(Work work);
  Work take_slot(Parcel model);
  void release(Work work);

  VirtualClients& clients_;
  const DeviceModel devices_;
  ModelEncoder encoder_;
  const bool on_request_;
  const Lengths update_lengths_;
  const std::size_t update_bytes_;  // all of them
  const bool divided_;              // the server, in several shards
  SharedLines lines_;

  Seconds now_ = 0;
  std::uint64_t order_ = 0;
  std::uint64_t handled_ = 0;
  Events events_;
  // Events that wait for training which has not begun: most of them. When it begins they go over to the
  // others, of which there are few, so that each is sifted once among many.
  Events planned_;
  std::map<std::uint64_t, Round> deadlines_;  // by the order of their events
  std::vector<Slot> slots_;
  std::vector<Work> free_;
  std::size_t begun_ = 0;
  std::optional<std::map<ClientId, Seconds>> busy_until_;  // where late work goes on: when it ends
  std::optional<Finish> finish_;
};

}  // namespace gossamer

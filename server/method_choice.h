#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "core/checkpoint.h"
#include "core/types.h"

namespace gossamer {

// Which method of compression a run's updates travel by (compression.up = auto), chosen by what rounds with
// each have taken. Pure: no I/O, no clock.
//
// Methods are tried one after another, from the one with the shortest messages on, for a few rounds each; and
// those that come close to the best once and twice more, since rounds of a few milliseconds vary by more than
// methods differ. What a method leaves over goes on growing, by the sparsest for a hundred rounds, so that a
// trial says at most how much it delivers: the cheapest is stayed with and watched, until it delivers no less
// from one few rounds to the next, and left for the next cheapest if it comes to cost more than that. One
// costs the seconds of its rounds, the median, times how many more of them training needs:
//   1 + drag (1 / delivered - 1),
// where `delivered` is the share of what its senders had to send, by squared length, that one message does
// not leave over: the delta of a compressor in the theory of error feedback (Karimireddy, Rebjock, Stich,
// Jaggi: "Error feedback fixes SignSGD and other gradient compression schemes", ICML 2019), where the part of
// the rounds that noise does not call for grows as 1 / delta. `drag` is that part. A method whose rounds take
// longer than the best so far costs ends the first lap: those after it send more. They are tried when
// watching has made the best that dear.
class MethodChoice {
 public:
  struct Settings {
    std::size_t methods = 1;  // numbered so that later ones send less; at most kMost
    std::int64_t rounds = 5;  // each is tried for in a lap; at most kMost
    double drag = 0.07;
  };
  static constexpr std::size_t kMost = 16;

  explicit MethodChoice(Settings settings);

  // Of the next round.
  std::size_t method() const noexcept { return method_; }
  // Whether nothing is tried any more.
  bool settled() const noexcept { return settled_; }
  // A round with method() is over. `delivered`: the mean of its updates; none where there was none.
  void observe(std::optional<double> delivered, Seconds duration);

  struct Estimate {
    Seconds seconds = 0;  // of a round
    double slowdown = 1;  // how many more of them
    bool tried = false;   // and not without an update
    double cost() const noexcept { return seconds * slowdown; }
  };
  const Estimate& estimate(std::size_t method) const { return estimates_.at(method); }
  // One line for people.
  std::string describe(const std::vector<std::string>& names) const;

  void save(CheckpointWriter& writer) const;
  void restore(const CheckpointReader& reader);

 private:
  void end_trial();
  void end_lap();
  void watch(std::optional<double> delivered);
  // The next one that the first lap has not come to, where what ended it is the cheapest no more.
  bool go_on() noexcept;
  double slowdown_at(double delivered) const noexcept;
  // The cheapest of those that were tried; of two that cost the same, the one that leaves out less.
  std::size_t best() const noexcept;

  Settings settings_;
  std::size_t method_;
  std::size_t lap_ = 0;
  std::int64_t done_ = 0;  // rounds of this trial
  bool watched_ = false;   // method_, after the laps
  bool settled_ = false;
  bool first_ = true;                         // of a run: it has what happens once
  std::optional<double> delivered_;           // in this trial
  double sum_ = 0;                            // of slowdowns, in these few rounds of watching
  std::int64_t seen_ = 0;                     // how many there are in it
  double before_ = 0;                         // their mean in the few rounds before; 0: there were none
  std::vector<std::vector<Seconds>> rounds_;  // of each method
  std::vector<Estimate> estimates_;
  std::vector<bool> runs_;  // in this lap
};

}  // namespace gossamer

#include "server/edge_aggregator.h"

#include <algorithm>
#include <stdexcept>
#include <utility>
#include <vector>

#include "comms/frame.h"
#include "core/error.h"
#include "core/text.h"
#include "server/sync/sync_policy.h"

namespace gossamer {
namespace {

// A run goes on for as long as the root says.
constexpr std::int64_t kEndless = std::int64_t{1} << 40;

Options options_of_node(const Options& options, const TreePlan& plan, const TreeNode& node) {
  Options own = options;
  const std::string mode = tree_sync_mode(options, plan, node);
  own.set("sync.mode", mode);
  own.set("data.clients", std::to_string(node.children));
  if (!node.over_clients) {
    own.set("cohort.min_size", "1");
    own.set("devices.straggler_fraction", "0");
  }
  if (!node.over_clients || mode == "ssp") own.set("cohort.fraction", "1");
  const std::int64_t at_work = cohort_size(own);
  own.set("sync.buffer", std::to_string(std::min(own.integer("sync.buffer"), at_work)));
  if (node.level == 0) {
    // An aggregator's weight is that of all below it.
    own.set("server.weighting", "examples");
    return own;
  }
  if (!node.over_clients) own.set("server.weighting", "examples");
  own.set("run.rounds", std::to_string(kEndless));
  own.set("run.target_accuracy", "0");
  own.set("server.optimizer", "sgd");
  own.set("server.lr", mode == "async" ? std::to_string(1.0 / static_cast<double>(at_work)) : "1");
  own.set("sync.staleness_weight", "constant");
  own.set("sync.correction", "none");
  return own;
}

Children children_of(const TreePlan& plan, const TreeNode& node) {
  if (node.over_clients) return {node.first_child, false, 0};
  return {node.first_child, true, plan.clients()};
}

}  // namespace

std::string tree_sync_mode(const Options& options, const TreePlan& plan, const TreeNode& node) {
  if (node.level == 0) return options.text("sync.mode");
  const std::string& text = options.text("topology.tree.sync");
  const std::vector<std::string> modes = split(text);
  const auto known = sync_policies().names();
  for (const std::string& mode : modes) {
    if (std::ranges::find(known, mode) == known.end())
      throw ConfigError("topology.tree.sync = " + text +
                        ": expected bsp, ssp, async or buffered, or one of them a level, such as ssp,bsp");
  }
  const std::int64_t levels = plan.levels();
  if (modes.size() == 1) return modes[0];
  if (std::ssize(modes) != levels)
    throw ConfigError("topology.tree.sync = " + text +
                      ": topology.tree.fanout = " + options.text("topology.tree.fanout") + " has " +
                      std::to_string(levels) + " levels of aggregators; expected one mode, or one a level");
  return modes[static_cast<std::size_t>(node.level) - 1];
}

std::unique_ptr<Coordinator> make_node_coordinator(const Options& options, const TreePlan& plan,
                                                   const TreeNode& node,
                                                   std::shared_ptr<const Parameters> initial) {
  auto coordinator =
      make_coordinator(options_of_node(options, plan, node), std::move(initial), children_of(plan, node));
  if (!node.over_clients) coordinator->read_updates_with(update_filters().make(options)->codec());
  return coordinator;
}

EdgeAggregator::EdgeAggregator(const Options& options, const TreePlan& plan, const TreeNode& node,
                               std::shared_ptr<const Parameters> initial)
    : id_(node.id),
      rounds_(options.integer("topology.tree.rounds")),
      laps_(tree_sync_mode(options, plan, node) == "async" ? cohort_size(options_of_node(options, plan, node))
                                                           : 1),
      coordinator_(make_node_coordinator(options, plan, node, std::move(initial))),
      filter_(update_filters().make(options)),
      codec_(options, *coordinator_->model()->layout),
      members_(children_of(plan, node), node.children) {}

Result<Actions> EdgeAggregator::asked(Round round, const Compressed& content, Seconds now,
                                      std::uint64_t source) {
  if (last_ && last_->info.round == round) return Actions{Report{*last_}};
  if (working_) {
    if (round != round_) next_ = {round, content, source};
    return Actions{};
  }
  auto base = std::make_shared<Parameters>(*coordinator_->model());
  ModelCodec::Held held;
  if (base_ && source != 0) held = {base_->values, mark_of(base_->values)};
  if (auto read = codec_.decode(content, source, held, base->values); !read) return read.fault();
  base_ = base;
  round_ = round;
  working_ = true;
  last_.reset();
  commits_ = samples_ = 0;
  weight_ = loss_ = 0;
  coordinator_->rebase(std::move(base), (round - 1) * rounds_ * laps_);
  return go_on(now);
}

Actions EdgeAggregator::go_on(Seconds now) {
  Actions actions;
  if (std::exchange(paused_, false)) actions = digested(coordinator_->committed(std::nullopt, now), now);
  while (working_ && !held_.empty()) {
    const Event event = std::move(held_.front());
    held_.pop_front();
    std::ranges::move(digested(event(now), now), std::back_inserter(actions));
  }
  return actions;
}

Actions EdgeAggregator::hear(Event event, Seconds now) {
  if (working_ && held_.empty()) return digested(event(now), now);
  held_.push_back(std::move(event));
  return {};
}

Actions EdgeAggregator::joined(ClientId child, Seconds now) {
  members_.join(child);
  return hear([this, child](Seconds then) { return coordinator_->joined(child, then); }, now);
}

Actions EdgeAggregator::left(ClientId child, const std::string& reason, Seconds now) {
  members_.leave(child, reason);
  return hear([this, child, reason](Seconds then) { return coordinator_->left(child, reason, then); }, now);
}

Actions EdgeAggregator::arrived(const CompressedUpdate& update, Seconds now) {
  below_.bytes_up += static_cast<double>(kFrameHeaderBytes + update.content.payload.size() +
                                         (update.info.subtree ? sizeof(SubtreeReport) : 0));
  return hear([this, update](Seconds then) { return coordinator_->arrived(update, then); }, now);
}

Actions EdgeAggregator::dropped(ClientId child, Round round, Seconds now) {
  return hear([this, child, round](Seconds then) { return coordinator_->dropped(child, round, then); }, now);
}

Actions EdgeAggregator::deadline(Round round, Seconds now) {
  return hear([this, round](Seconds then) { return coordinator_->deadline(round, then); }, now);
}

Actions EdgeAggregator::committed(std::optional<double>, Seconds) {
  throw std::logic_error("edge aggregator: it records nothing");
}

Actions EdgeAggregator::digested(Actions actions, Seconds now) {
  Actions out;
  while (!actions.empty()) {
    Actions more;
    for (Action& action : actions) {
      if (const auto* commit = std::get_if<Commit>(&action)) {
        more = count(*commit, now);
        continue;
      }
      if (const auto* send = std::get_if<SendModel>(&action))
        below_.bytes_down +=
            static_cast<double>(send->clients.size() * (kFrameHeaderBytes + send->model.payload.size()));
      out.push_back(std::move(action));
    }
    actions = std::move(more);
    if (paused_) {
      working_ = false;
      out.emplace_back(report());
      if (!next_) break;
      const Order order = *std::exchange(next_, std::nullopt);
      auto answer = asked(order.round, order.model, now, order.base);
      if (!answer) {
        out.emplace_back(Finish{false, answer.fault().reason});
      } else {
        std::ranges::move(std::move(answer).value(), std::back_inserter(out));
      }
      break;
    }
  }
  return out;
}

Actions EdgeAggregator::count(const Commit& commit, Seconds now) {
  ++commits_;
  weight_ += commit.weight;
  samples_ += commit.metrics.samples;
  loss_ += commit.metrics.train_loss * static_cast<double>(commit.metrics.samples);
  below_.clients += static_cast<double>(commit.metrics.clients);
  below_.dropped += static_cast<double>(commit.metrics.dropped);
  below_.rejected += static_cast<double>(commit.metrics.rejected);
  below_.bytes_up += static_cast<double>(commit.metrics.bytes_up);
  below_.bytes_down += static_cast<double>(commit.metrics.bytes_down);
  paused_ = commits_ == rounds_ * laps_;
  return paused_ ? Actions{} : coordinator_->committed(std::nullopt, now);
}

Report EdgeAggregator::report() {
  const auto& moved = coordinator_->model()->values;
  FloatBuffer update(moved.size());
  for (std::size_t i = 0; i < update.size(); ++i) update[i] = moved[i] - base_->values[i];
  UpdateInfo info;
  info.client = id_;
  info.round = round_;
  info.sequence = static_cast<std::uint64_t>(round_);
  info.weight = weight_ / static_cast<double>(rounds_);
  info.samples = samples_;
  info.train_loss = samples_ > 0 ? loss_ / static_cast<double>(samples_) : 0;
  info.subtree = std::make_shared<SubtreeReport>(std::exchange(below_, {}));
  last_ = CompressedUpdate{std::move(info), filter_->pass(std::move(update), base_->values, round_)};
  return {*last_};
}

}  // namespace gossamer

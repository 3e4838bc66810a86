#include "server/tree_coordinator.h"

#include <algorithm>
#include <iterator>

#include "comms/codec.h"
#include "comms/topologies/topology.h"
#include "server/sharded_coordinator.h"

namespace gossamer {

TreeCoordinator::TreeCoordinator(const Options& options, std::shared_ptr<const Parameters> initial,
                                 LinkTimes times)
    : plan_(options.integer("data.clients"), tree_fanout(options)),
      times_(std::move(times)),
      run_id_(options.digest()),
      root_(make_node_coordinator(options, plan_, plan_.root(), initial)) {
  for (std::int64_t j = 0; j < plan_.aggregators(); ++j)
    aggregators_.push_back(std::make_unique<EdgeAggregator>(options, plan_, plan_.aggregator(j), initial));
}

Actions TreeCoordinator::joined(ClientId client, Seconds now) {
  Actions out;
  if (!begun_) {
    begun_ = true;
    for (std::int64_t j = 0; j < plan_.aggregators(); ++j) {
      const TreeNode& node = plan_.aggregator(j);
      std::ranges::move(perform(node.parent, inner(node.parent).joined(node.id, now), now),
                        std::back_inserter(out));
    }
  }
  const ClientId parent = plan_.parent_of(client);
  std::ranges::move(perform(parent, inner(parent).joined(client, now), now), std::back_inserter(out));
  return out;
}

Actions TreeCoordinator::left(ClientId client, const std::string& reason, Seconds now) {
  const ClientId parent = plan_.parent_of(client);
  return perform(parent, inner(parent).left(client, reason, now), now);
}

Actions TreeCoordinator::arrived(const CompressedUpdate& update, Seconds now) {
  const ClientId parent = plan_.parent_of(update.info.client);
  return perform(parent, inner(parent).arrived(update, now), now);
}

Actions TreeCoordinator::dropped(ClientId client, Round round, Seconds now) {
  const ClientId parent = plan_.parent_of(client);
  return perform(parent, inner(parent).dropped(client, round, now), now);
}

Actions TreeCoordinator::deadline(Round token, Seconds now) {
  const auto found = under_way_.extract(token);
  return found ? deliver(found.mapped(), now) : Actions{};
}

Actions TreeCoordinator::committed(std::optional<double> accuracy, Seconds now) {
  return perform(TreePlan::kRoot, root_->committed(accuracy, now), now);
}

Actions TreeCoordinator::perform(ClientId id, Actions actions, Seconds now) {
  const TreeNode& node = plan_.node(id);
  Actions out;
  for (Action& action : actions) {
    if (auto* report = std::get_if<Report>(&action)) {
      send({id, encode_update(run_id_, report->update)}, now, out);
    } else if (auto* finish = std::get_if<Finish>(&action); finish && node.level > 0) {
      std::ranges::move(perform(node.parent, inner(node.parent).left(id, finish->reason, now), now),
                        std::back_inserter(out));
    } else if (auto* model = std::get_if<SendModel>(&action); model && !node.over_clients) {
      const Frame frame =
          encode_model(run_id_, model->round, node.first_child, model->base(), model->model, model->terms);
      for (const ClientId child : model->clients) send({child, readdress(frame, child)}, now, out);
    } else if (std::holds_alternative<Abandon>(action) && !node.over_clients) {
      // An aggregator's late work ends in vain.
    } else {
      if (auto* commit = std::get_if<Commit>(&action)) {
        // The driver counts what goes to and from the clients, and this object the rest, when it happens.
        commit->metrics.bytes_up = std::exchange(bytes_up_, 0);
        commit->metrics.bytes_down = std::exchange(bytes_down_, 0);
      }
      out.push_back(std::move(action));
    }
  }
  return out;
}

void TreeCoordinator::send(Delivery delivery, Seconds now, Actions& out) {
  const FrameHeader& header = delivery.frame.header;
  const std::size_t bytes = delivery.frame.wire_bytes();
  const bool down = header.type == FrameType::model;
  (down ? bytes_down_ : bytes_up_) += bytes;
  const LinkTimes::Time& time = down ? times_.down : times_.up;
  if (!time) {
    std::ranges::move(deliver(delivery, now), std::back_inserter(out));
    return;
  }
  out.emplace_back(Wake{token_, time(bytes, delivery.aggregator, header.round, now)});
  under_way_.emplace(token_++, std::move(delivery));
}

Actions TreeCoordinator::deliver(const Delivery& delivery, Seconds now) {
  const ClientId id = delivery.aggregator;
  const TreeNode& node = plan_.node(id);
  const auto lose = [&](const Fault& fault) {
    return perform(node.parent, inner(node.parent).left(id, fault.reason, now), now);
  };
  const auto received = pass_through(delivery.frame);
  if (!received) return lose(received.fault());
  if (delivery.frame.header.type == FrameType::model) {
    const auto model = decode_model(received.value());
    if (!model) return lose(model.fault());
    auto actions =
        aggregator(id).asked(delivery.frame.header.round, model.value(), now, base_of(delivery.frame.header));
    if (!actions) return lose(actions.fault());
    return perform(id, std::move(actions).value(), now);
  }
  const auto update = decode_update(received.value());
  if (!update) return lose(update.fault());
  return perform(node.parent, inner(node.parent).arrived(update.value(), now), now);
}

std::unique_ptr<Coordination> make_coordination(const Options& options,
                                                std::shared_ptr<const Parameters> initial, LinkTimes times) {
  if (options.text("topology.name") == "tree")
    return std::make_unique<TreeCoordinator>(options, std::move(initial), std::move(times));
  if (options.integer("server.shards") > 1) return make_sharded_coordinator(options, std::move(initial));
  return make_coordinator(options, std::move(initial));
}

}  // namespace gossamer

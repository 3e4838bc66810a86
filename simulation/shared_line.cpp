#include "simulation/shared_line.h"

#include "comms/topologies/topology.h"
#include "simulation/device_model.h"

namespace gossamer {

SharedLines::SharedLines(const Options& options)
    : plan_(topologies().make(options)->tree_plan(options.integer("data.clients"))) {
  lines_.resize(static_cast<std::size_t>(plan_ ? plan_->aggregators() + 1 : options.integer("server.shards")),
                SharedLine(DeviceModel(options).server_rate()));
}

SharedLine& SharedLines::above(ClientId child) {
  const ClientId parent = plan_ ? plan_->parent_of(child) : TreePlan::kRoot;
  return parent == TreePlan::kRoot ? lines_.front()
                                   : lines_[static_cast<std::size_t>(parent - plan_->clients()) + 1];
}

LinkTimes link_times(const Options& options) {
  const auto devices = std::make_shared<const DeviceModel>(DeviceModel(options).of_upper_links());
  const auto lines = std::make_shared<SharedLines>(options);
  return {[lines, devices](std::size_t bytes, ClientId id, Round round, Seconds now) {
            const SharedLine::Turn turn = lines->above(id).send(bytes, now);
            return std::max(turn.begin + devices->download_seconds(bytes, id, round),
                            turn.end + devices->latency());
          },
          [lines, devices](std::size_t bytes, ClientId id, Round round, Seconds now) {
            return std::max(now + devices->upload_seconds(bytes, id, round),
                            lines->above(id).receive(bytes, now + devices->latency()).end);
          }};
}

}  // namespace gossamer

#include "cli/emulated_network.h"

#include <chrono>
#include <limits>
#include <utility>

#include "comms/collectives/paced_link.h"
#include "comms/latency_transport.h"

namespace gossamer {
namespace {

std::chrono::nanoseconds distance(const Options& options) {
  return std::chrono::round<std::chrono::nanoseconds>(
      std::chrono::duration<double, std::milli>(options.real("network.emulated_latency_ms")));
}

}  // namespace

std::unique_ptr<Transport> at_a_distance(const Options& options, std::unique_ptr<Transport> transport) {
  const auto latency = distance(options);
  if (latency == latency.zero()) return transport;
  return make_latency_transport(std::move(transport), latency);
}

std::unique_ptr<Link> at_a_distance(const Options& options, std::unique_ptr<Link> link) {
  const auto latency = distance(options);
  if (latency == latency.zero()) return link;
  return make_paced_link(std::move(link), std::numeric_limits<double>::infinity(), latency);
}

}  // namespace gossamer

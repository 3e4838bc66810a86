// A server that sends models and takes updates: who talks to whom is the coordinator's affair.
#include "comms/topologies/methods.h"

namespace gossamer {
namespace {

class ParameterServer final : public Topology {
 public:
  TopologyKind kind() const noexcept override { return TopologyKind::server; }
};

}  // namespace

std::unique_ptr<Topology> make_parameter_server(const Options&) {
  return std::make_unique<ParameterServer>();
}

}  // namespace gossamer

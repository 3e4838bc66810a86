// MPI_Allreduce. The order of the sums is the library's, so it has no routes.
#include "comms/topologies/methods.h"

namespace gossamer {
namespace {

class MpiAllReduceTopology final : public Topology {
 public:
  TopologyKind kind() const noexcept override { return TopologyKind::library_all_reduce; }
};

}  // namespace

std::unique_ptr<Topology> make_mpi_allreduce(const Options&) {
  return std::make_unique<MpiAllReduceTopology>();
}

}  // namespace gossamer

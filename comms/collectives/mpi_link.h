#pragma once

#include <memory>

#include "comms/collectives/all_reduce.h"
#include "comms/collectives/link.h"
#include "comms/mpi_transport.h"

namespace gossamer {

enum class MpiPath {
  fastest,   // memory that the ranks of a node share, messages between nodes
  messages,  // messages everywhere
};

// Links between the ranks of the job. Nothing moves between calls; a rank that waits polls, and gives its
// core up to others after a while (at once where the node has more ranks than cores). It sends from memory of
// its own, so the caller's is free at once. All ranks make it, and destroy it, together; the session outlives
// it. Errors of MPI throw TransportError.
std::unique_ptr<Link> make_mpi_link(MpiSession& session, const Topology& topology,
                                    const LinkSettings& settings = {}, MpiPath path = MpiPath::fastest);

// MPI's own collective behind the same interface. Its order of summation is MPI's affair, and so is a rank
// that does not come: all_reduce() waits for it without regard to the deadline. All ranks make it, and
// destroy it, together. Errors of MPI throw TransportError.
std::unique_ptr<AllReduce> make_mpi_all_reduce(MpiSession& session);

}  // namespace gossamer

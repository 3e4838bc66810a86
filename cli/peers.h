#pragma once

#include "cli/federation.h"
#include "comms/transport.h"

namespace gossamer {

class MpiSession;

// Whether this run's participants are peers without a server (topology.name).
bool are_peers(const Options& options);

// The same commands for peers: each runs to the end and returns the exit code.
int simulate_peers(Federation& federation);
int train_peers(Federation& federation, MpiSession& session);
int introduce_peers(Federation& federation, Transport& transport, RunFolder folder);
int run_peer(Federation& federation, Transport& transport, ClientId client);

// What peers send in a round, all together, and how long their exchange takes on virtual links.
struct PeerPlan {
  std::uint64_t bytes = 0;
  bool known = true;  // otherwise at most so many
  std::string form;   // of compressed sums; empty: there are none
  Seconds exchange = 0;
};
PeerPlan plan_of_peers(const Options& options, const Model& model);

}  // namespace gossamer

#include "cli/combinations.h"

#include <algorithm>
#include <array>
#include <string_view>
#include <vector>

namespace gossamer {
namespace {

using Modes = std::vector<std::string_view>;

struct TopologyRow {
  std::string_view name;
  Modes modes;
  std::string_view why;  // not the other modes
};

// Whom an algorithm needs; those without a row work with anybody.
enum class Needs { server, summing_peers };

struct AlgorithmRow {
  std::string_view name;
  Modes modes;
  std::string_view why;  // not the other modes
  Needs needs;
};

const Modes kAll{"bsp", "ssp", "async", "buffered"};
const char* const kPeersSum = "peers that sum their updates do so in lockstep";
const char* const kEveryVersion = "its rule is for updates that arrive one by one";

const std::array<TopologyRow, 7> kTopologies{{
    {"parameter_server", kAll, ""},
    {"tree", kAll, ""},
    {"ring", {"bsp"}, kPeersSum},
    {"grouped_ring", {"bsp"}, kPeersSum},
    {"all_to_all", {"bsp"}, kPeersSum},
    {"mpi_allreduce", {"bsp"}, kPeersSum},
    {"gossip", {"bsp", "async"}, "there is no server whose model could have versions"},
}};

// Others work everywhere.
const std::array<AlgorithmRow, 8> kAlgorithms{{
    {"easgd",
     {"bsp", "async"},
     "clients keep models of their own, and move in step or each by itself",
     Needs::server},
    {"eamsgd",
     {"bsp", "async"},
     "clients keep models of their own, and move in step or each by itself",
     Needs::server},
    {"downpour", {"async"}, kEveryVersion, Needs::server},
    {"fedasync", {"async"}, kEveryVersion, Needs::server},
    {"fedbuff", {"buffered"}, "its rule is for a buffer of updates", Needs::server},
    {"dc_asgd", {"async"}, kEveryVersion, Needs::server},
    {"adaptive_tau", {"bsp"}, "its rule is for rounds in which all train from the same model", Needs::server},
    {"sync_sgd", {"bsp"}, "all make each step together", Needs::summing_peers},
}};

std::vector<std::string> names_of(const std::vector<MethodGroup>& groups, std::string_view chooser) {
  std::vector<std::string> names;
  for (const MethodGroup& group : groups) {
    if (group.chooser != chooser) continue;
    for (const MethodInfo& method : group.methods) names.push_back(method.name);
  }
  return names;
}

bool holds(const Modes& modes, const std::string& mode) {
  return std::ranges::find(modes, mode) != modes.end();
}

std::string either(const Modes& modes) {
  std::string text;
  for (const std::string_view mode : modes) text += (text.empty() ? "" : " or ") + std::string(mode);
  return text;
}

}  // namespace

std::optional<std::string> refusal_of_combination(const std::string& topology, const std::string& mode,
                                                  const std::string& algorithm, RunsIn place) {
  if (topology == "mpi_allreduce" && (place == RunsIn::simulation || place == RunsIn::zmq))
    return "topology.name = mpi_allreduce: MPI's own collective, which runs under mpirun only; use "
           "topology.name = ring";
  const bool apart = topology != "parameter_server";
  const auto rule = std::ranges::find(kAlgorithms, algorithm, &AlgorithmRow::name);
  const bool sums = apart && topology != "tree" && topology != "gossip";
  if (rule != kAlgorithms.end() && rule->needs == Needs::summing_peers && !sums) {
    return "topology.name = " + topology + ": algorithm.name = " + algorithm +
           " needs peers that sum their gradients; use topology.name = ring, grouped_ring, all_to_all or "
           "mpi_allreduce";
  }
  if (rule != kAlgorithms.end() && rule->needs == Needs::server && apart) {
    return "topology.name = " + topology + ": algorithm.name = " + algorithm +
           (topology == "tree" ? " needs a server right above its clients;" : " needs a server;") +
           " use topology.name = parameter_server, or algorithm.name = local_sgd";
  }
  if (rule != kAlgorithms.end() && !holds(rule->modes, mode)) {
    return "sync.mode = " + mode + ": algorithm.name = " + algorithm +
           " works with sync.mode = " + either(rule->modes) + " only, since " + std::string(rule->why);
  }
  const auto row = std::ranges::find(kTopologies, topology, &TopologyRow::name);
  if (row != kTopologies.end() && !holds(row->modes, mode)) {
    return "sync.mode = " + mode + ": not with topology.name = " + topology + ", where " +
           std::string(row->why) + "; use sync.mode = " + either(row->modes) +
           ", or topology.name = parameter_server";
  }
  return std::nullopt;
}

std::string combinations_page(const std::vector<MethodGroup>& groups) {
  const auto topologies = names_of(groups, "topology.name");
  const auto modes = names_of(groups, "sync.mode");
  const auto algorithms = names_of(groups, "algorithm.name");
  std::string page =
      "# Combinations\n\nWritten by `gossamer list --combinations docs/combinations.md` from the table that "
      "the program "
      "itself asks\n(`cli/combinations.cpp`); a test compares them. Each cell has the values of `sync.mode` "
      "with which "
      "`topology.name`\n(columns) and `algorithm.name` (rows) work. All others are refused at start.\n\n| |";
  for (const std::string& topology : topologies) page += " `" + topology + "` |";
  page += "\n|---|";
  for (std::size_t i = 0; i < topologies.size(); ++i) page += "---|";
  page += '\n';
  // Why not, each reason once, in the order of the table.
  std::vector<std::string> reasons;
  for (const std::string& algorithm : algorithms) {
    page += "| `" + algorithm + "` |";
    for (const std::string& topology : topologies) {
      std::string cell;
      for (const std::string& mode : modes) {
        const auto refusal = refusal_of_combination(topology, mode, algorithm);
        if (!refusal) cell += (cell.empty() ? " `" : ", `") + mode + '`';
        if (refusal && std::ranges::find(reasons, *refusal) == reasons.end()) reasons.push_back(*refusal);
      }
      page += (cell.empty() ? " -" : cell) + " |";
    }
    page += '\n';
  }
  page +=
      "\n`mpi_allreduce` runs under mpirun only. What else a combination asks for (methods of gossip, whole "
      "cohorts, no server\noptimizer without a server) the program says when it is missing. `server.shards` "
      "above "
      "1 goes with\n`parameter_server`, and with every algorithm but `adaptive_tau`.\n\n## What it "
      "says\n\n";
  for (const std::string& reason : reasons) page += "    " + reason + '\n';
  return page;
}

}  // namespace gossamer

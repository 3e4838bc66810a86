#include "server/run_privacy.h"

#include <algorithm>
#include <cmath>

#include "comms/topologies/topology.h"
#include "core/error.h"
#include "server/coordinator.h"

namespace gossamer {
namespace {

// In how many of the run's rounds a client takes part at most, but for bad luck: a cohort is drawn anew each
// round, and the run ends earlier where luck is that bad.
std::uint64_t likely_participations(const Options& options, Round rounds) {
  const auto clients = static_cast<double>(options.integer("data.clients"));
  const double share = static_cast<double>(cohort_size(options)) / clients;
  const double mean = static_cast<double>(rounds) * share;
  if (share >= 1) return static_cast<std::uint64_t>(rounds);
  const double rare = std::log(100 * clients);
  const double most = std::ceil(mean + std::sqrt(2 * mean * rare) + rare / 3);
  return static_cast<std::uint64_t>(std::min(most, static_cast<double>(rounds)));
}

}  // namespace

CountingPlan counting_plan(const Options& options) {
  const auto rounds = static_cast<std::uint64_t>(options.integer("run.rounds"));
  const auto topology = topologies().make(options);
  const bool lockstep = options.text("sync.mode") == "bsp";
  CountingPlan plan;
  if (topology->kind() != TopologyKind::server) {
    plan.by = Counting::grants;
    plan.planned = rounds;
  } else if (const auto tree = topology->tree_plan(options.integer("data.clients"))) {
    plan.by = Counting::rounds;
    std::int64_t levels = 0;
    for (std::int64_t j = 0; j < tree->aggregators(); ++j)
      levels = std::max(levels, tree->aggregator(j).level);
    for (; levels > 0; --levels)
      plan.releases_a_round *= static_cast<std::uint64_t>(options.integer("topology.tree.rounds"));
    plan.planned = rounds * plan.releases_a_round;
  } else if (options.text("cohort.sampler") == "poisson" &&
             privacy_plan(options).placement == Placement::central) {
    plan.by = Counting::rounds;
    plan.planned = rounds;
  } else if (lockstep) {
    plan.planned = likely_participations(options, options.integer("run.rounds"));
  } else {
    // Versions are divided among the clients, of which the fastest make more.
    const auto clients = static_cast<std::uint64_t>(options.integer("data.clients"));
    const std::uint64_t updates = options.text("sync.mode") == "ssp" ? rounds * clients : rounds;
    plan.planned = std::min(rounds, 2 * (updates / clients + 1));
  }
  return plan;
}

RunPrivacy::RunPrivacy(const Options& options, const std::filesystem::path& file)
    : ledger_(options, counting_plan(options)), file_(file, AppendFile::Start::empty) {
  file_.append(ledger_.head());
}

RunPrivacy RunPrivacy::resume(const Options& options, const std::filesystem::path& file) {
  PrivacyLedger ledger(options, counting_plan(options));
  if (!std::filesystem::exists(file))
    throw FileError(file.string() + ": not there, so nobody knows what this run has spent; start it anew");
  const std::string text = read_text(file);
  const std::size_t whole = ledger.restore(text, file.string());
  if (whole == 0) throw FileError(file.string() + ": no ledger of privacy");
  if (whole < text.size()) write_atomically(file, text.substr(0, whole));
  return {std::move(ledger), AppendFile(file, AppendFile::Start::at_end)};
}

bool RunPrivacy::spend(Round round, std::span<const ClientId> clients) {
  if (!ledger_.allows(clients)) return false;
  file_.append(ledger_.spend(round, clients));
  return true;
}

bool RunPrivacy::open_round(Round round) {
  if (!ledger_.allows_round()) return false;
  file_.append(ledger_.spend_round(round));
  return true;
}

}  // namespace gossamer

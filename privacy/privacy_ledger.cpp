#include "privacy/privacy_ledger.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>

#include "core/error.h"
#include "privacy/accountants/search.h"

namespace gossamer {
namespace {

using Json = nlohmann::ordered_json;

std::uint64_t allowed_releases(const PrivacyPlan& plan, const MakeAccountant& make) {
  if (!plan.target_epsilon) return std::numeric_limits<std::uint64_t>::max();
  if (plan.noise_multiplier == 0) return 0;
  return steps_for(make, plan.event(), plan.delta, *plan.target_epsilon) / plan.steps;
}

// A number of the file as it was written: neither with a sign nor with a fraction.
std::uint64_t count_of(const Json& value, const std::string& name) {
  if (!value.is_number_unsigned()) throw FileError(name + ": not a ledger of privacy: " + value.dump());
  return value.get<std::uint64_t>();
}

}  // namespace

PrivacyLedger::PrivacyLedger(const Options& options, const CountingPlan& counting)
    : plan_(privacy_plan(options)),
      counting_(counting),
      make_(make_accountants(options)),
      allowed_(allowed_releases(plan_, make_)) {}

std::string PrivacyLedger::head() const {
  Json line{{"mechanism", name_of(plan_.noise)},
            {"noise_multiplier", plan_.noise_multiplier},
            {"sampling_rate", plan_.sampling_rate},
            {"steps", plan_.steps},
            {"delta", plan_.delta}};
  if (plan_.setup_noise > 0) line["setup_noise"] = plan_.setup_noise;
  return line.dump() + '\n';
}

bool PrivacyLedger::allows(std::span<const ClientId> clients) const {
  return std::ranges::all_of(clients, [&](ClientId client) {
    const auto i = static_cast<std::size_t>(client);
    return (i < participations_.size() ? participations_[i] : 0) < allowed_;
  });
}

bool PrivacyLedger::allows_round() const {
  return allowed_ - std::min(most_, allowed_) >= counting_.releases_a_round;
}

void PrivacyLedger::count(ClientId client) {
  const auto i = static_cast<std::size_t>(client);
  if (i >= participations_.size()) participations_.resize(i + 1);
  most_ = std::max<std::uint64_t>(most_, ++participations_[i]);
}

std::string PrivacyLedger::spend(Round round, std::span<const ClientId> clients) {
  for (const ClientId client : clients) count(client);
  Json line{{"round", round}, {"clients", Json::array()}};
  for (const ClientId client : clients) line["clients"].push_back(client);
  return line.dump() + '\n';
}

std::string PrivacyLedger::spend_round(Round round) {
  most_ += counting_.releases_a_round;
  return Json{{"round", round}, {"releases", counting_.releases_a_round}}.dump() + '\n';
}

std::size_t PrivacyLedger::restore(std::string_view text, const std::string& name) {
  std::size_t begin = 0;
  try {
    for (;;) {
      const std::size_t end = text.find('\n', begin);
      if (end == std::string_view::npos) return begin;
      const std::string_view line = text.substr(begin, end + 1 - begin);
      if (begin == 0) {
        if (line != head()) throw FileError(name + ": the ledger of a run with other noise");
      } else if (const Json entry = Json::parse(line); entry.contains("clients")) {
        for (const Json& client : entry.at("clients")) {
          const std::uint64_t id = count_of(client, name);
          if (id > std::numeric_limits<std::int32_t>::max())
            throw FileError(name + ": a client " + std::to_string(id));
          count(static_cast<ClientId>(id));
        }
      } else {
        most_ += count_of(entry.at("releases"), name);
      }
      begin = end + 1;
    }
  } catch (const Json::exception& e) {
    throw FileError(name + ": not a ledger of privacy: " + e.what());
  }
}

double PrivacyLedger::epsilon() {
  if (most_ == 0) return plan_.setup_noise > 0 ? make_()->epsilon(plan_.delta) : 0;
  if (plan_.noise_multiplier == 0) return std::numeric_limits<double>::infinity();
  if (!known_ || known_->first != most_) {
    PrivacyEvent event = plan_.event();
    event.steps *= most_;
    const auto accountant = make_();
    accountant->add(event);
    known_ = {most_, accountant->epsilon(plan_.delta)};
  }
  return known_->second;
}

}  // namespace gossamer

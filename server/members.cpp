#include "server/members.h"

namespace gossamer {

std::string Children::name_of(ClientId child) const {
  return (are_aggregators ? "aggregator " : "client ") + std::to_string(child - named_from);
}

Members::Members(Children children, std::int64_t count)
    : children_(children), here_(static_cast<std::size_t>(count)) {}

bool Members::join(ClientId client) {
  if (here_[index_of(client)]) return false;
  here_[index_of(client)] = true;
  ++present_;
  lost_.erase(client);
  return true;
}

bool Members::leave(ClientId client, const std::string& reason) {
  if (!here_[index_of(client)]) return false;
  here_[index_of(client)] = false;
  --present_;
  lost_[client] = reason;
  return true;
}

std::vector<ClientId> Members::here() const {
  std::vector<ClientId> clients;
  for (std::size_t index = 0; index < here_.size(); ++index) {
    if (here_[index]) clients.push_back(at(index));
  }
  return clients;
}

std::string Members::too_few(std::int64_t needed) const {
  std::string reason = std::to_string(present_) + " of " + std::to_string(population()) +
                       (children_.are_aggregators ? " aggregators" : " clients") +
                       " are left, cohort.min_size = " + std::to_string(needed) + "; lost:";
  for (const auto& [client, why] : lost_) reason += " " + children_.name_of(client) + " (" + why + ")";
  return reason;
}

}  // namespace gossamer

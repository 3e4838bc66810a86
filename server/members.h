#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "core/types.h"

namespace gossamer {

// Whom a coordinator works with: clients, or in a tree the aggregators below it, which do a client's part.
// Their ids are consecutive.
struct Children {
  ClientId first = 0;
  bool are_aggregators = false;
  ClientId named_from = 0;  // for people: aggregator id - named_from

  std::string name_of(ClientId child) const;
};

// Who is in the federation: a range of client ids, each of them here or away. Not thread-safe.
class Members {
 public:
  Members(Children children, std::int64_t count);

  // False where nothing changed.
  bool join(ClientId client);
  bool leave(ClientId client, const std::string& reason);

  bool is_present(ClientId client) const { return here_[index_of(client)]; }
  std::int64_t population() const noexcept { return static_cast<std::int64_t>(here_.size()); }
  std::int64_t present() const noexcept { return present_; }
  bool complete() const noexcept { return present_ == population(); }
  std::size_t index_of(ClientId client) const noexcept {
    return static_cast<std::size_t>(client - children_.first);
  }
  ClientId at(std::size_t index) const noexcept { return children_.first + static_cast<ClientId>(index); }
  const Children& children() const noexcept { return children_; }
  // Ascending.
  std::vector<ClientId> here() const;
  // "2 of 4 clients are left ...; lost: client 1 (why) client 3 (why)"
  std::string too_few(std::int64_t needed) const;

 private:
  Children children_;
  std::vector<bool> here_;
  std::int64_t present_ = 0;
  std::map<ClientId, std::string> lost_;
};

}  // namespace gossamer

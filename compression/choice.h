#pragma once

#include <optional>
#include <string>
#include <vector>

#include "core/update.h"

namespace gossamer {

// compression.up = auto: the methods that a round's updates may travel by, by their number
// (MessageContext::method). The later, the shorter their messages.
const std::vector<std::string>& chosen_methods();

// What such an update says of itself behind the values.
struct MethodReport {
  std::size_t method = 0;
  // Of the squared length of what was to be sent, the update and what was left over from those before: the
  // share that is not left over again. 0 .. 1.
  double delivered = 1;
};
// None of what is no such update.
std::optional<MethodReport> method_report(const Compressed& update);

}  // namespace gossamer

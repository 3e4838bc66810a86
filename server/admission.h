#pragma once

#include <optional>
#include <string>

#include "comms/codec.h"
#include "core/layout.h"
#include "core/options.h"

namespace gossamer {

// Why somebody who says this cannot take part: a model or a configuration that differs from ours; none where
// nothing speaks against it.
std::optional<std::string> refusal_of(const Hello& hello, const Options& options,
                                      const ParameterLayout& layout);

// Why `client` is no id of a federation of so many; none where it is one.
std::optional<std::string> refusal_of_id(ClientId client, std::int64_t population);

}  // namespace gossamer

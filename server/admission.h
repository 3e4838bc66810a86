#pragma once

#include <optional>
#include <string>

#include "comms/codec.h"
#include "core/layout.h"
#include "core/options.h"
#include "server/members.h"

namespace gossamer {

// Why somebody who says this cannot take part: a model or a configuration that differs from ours; none where
// nothing speaks against it.
std::optional<std::string> refusal_of(const Hello& hello, const Options& options,
                                      const ParameterLayout& layout);

// Why `client` is not the id of one of so many children; none where it is one.
std::optional<std::string> refusal_of_id(ClientId client, std::int64_t population, Children children = {});

}  // namespace gossamer

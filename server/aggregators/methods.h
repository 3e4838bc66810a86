#pragma once

#include <memory>

#include "server/aggregators/aggregator.h"

namespace gossamer {

std::unique_ptr<Aggregator> make_mean(const Options&);

}  // namespace gossamer

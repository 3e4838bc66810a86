#pragma once

#include <memory>

#include "server/sync/sync_policy.h"

namespace gossamer {

std::unique_ptr<SyncPolicy> make_bsp(const Options&);

}  // namespace gossamer

#pragma once

#include <memory>

#include "server/sync/sync_policy.h"

namespace gossamer {

std::unique_ptr<SyncPolicy> make_bsp(const Options& options);
std::unique_ptr<SyncPolicy> make_ssp(const Options& options);
std::unique_ptr<SyncPolicy> make_async(const Options& options);
std::unique_ptr<SyncPolicy> make_buffered(const Options& options);

}  // namespace gossamer

#pragma once

#include <memory>

#include "server/filters/update_filter.h"

namespace gossamer {

std::unique_ptr<UpdateFilter> make_no_filter(const Options&);
std::unique_ptr<UpdateFilter> make_gaia(const Options& options);

// Floats of which most are zero: the indices of the others (u32, ascending) and then their values (f32); or
// all floats as they are, where that is no longer. The length tells which.
Compressed encode_sparse(std::span<const float> values);
std::unique_ptr<Compressor> make_sparse_codec();

}  // namespace gossamer

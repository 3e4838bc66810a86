#pragma once

#include <memory>

#include "compression/compressor.h"

namespace gossamer {

std::unique_ptr<Compressor> make_no_compressor(const Options&);

}  // namespace gossamer

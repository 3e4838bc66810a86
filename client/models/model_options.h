#pragma once

#include "core/options.h"

namespace gossamer {

// model.file and model.loss; model.name comes from the registry models().
void add_model_options(OptionSchema& schema);

}  // namespace gossamer

#pragma once

#include "core/options.h"

namespace gossamer {

// The keys of local training: client.optimizer with its methods' keys, client.lr, client.weight_decay,
// client.batch_size, client.local_epochs, client.local_steps. algorithm.name comes from algorithms().
void add_client_options(OptionSchema& schema);

}  // namespace gossamer

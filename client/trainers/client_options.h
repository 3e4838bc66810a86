#pragma once

#include "core/options.h"

namespace gossamer {

// The keys of local training that no method owns: client.lr, client.weight_decay, client.batch_size,
// client.local_epochs, client.local_steps. client.optimizer and its methods' keys come from the registry
// client_optimizers(), algorithm.name from algorithms().
void add_client_options(OptionSchema& schema);

}  // namespace gossamer

#include "client/trainers/client_options.h"

#include "client/optimizers/client_optimizer.h"

namespace gossamer {

void add_client_options(OptionSchema& schema) {
  add_methods(schema, client_optimizers().describe());
  schema.add(real_option("client.lr", 0.1, "learning rate").above(0));
  schema.add(
      real_option("client.weight_decay", 0, "adds this times the weights to their gradient").at_least(0));
  schema.add(
      integer_option("client.batch_size", 10, "examples a step; 0 = all that the client has").at_least(0));
  schema.add(
      integer_option("client.local_epochs", 1, "passes over the client's examples a round").at_least(1));
  schema.add(integer_option("client.local_steps", 0, "steps a round; 0 = client.local_epochs").at_least(0));
}

}  // namespace gossamer

#include "client/models/model_options.h"

#include "client/models/losses.h"

namespace gossamer {

void add_model_options(OptionSchema& schema) {
  schema.add(text_option("model.file", "", "a TorchScript module to train in place of model.name"));
  schema.add(text_option("model.loss", "cross_entropy", "loss of the model's output").one_of(loss_names()));
}

}  // namespace gossamer

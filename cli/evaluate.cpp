// gossamer evaluate: accuracy and loss of a saved model on the configuration's test examples.
#include <cstdio>

#include "cli/commands.h"
#include "cli/federation.h"
#include "client/evaluator.h"

namespace gossamer {

int evaluate_command(const CommandLine& line) {
  Federation federation(line);
  federation.model->load(line.extra.at("model"));
  Evaluator evaluator(*federation.model, federation.data->test());
  const Evaluation outcome = evaluator.evaluate();
  std::printf("test_accuracy %.4f\ntest_loss %.6g\nexamples %lld\n", outcome.accuracy(), outcome.loss(),
              static_cast<long long>(outcome.count));
  return 0;
}

}  // namespace gossamer

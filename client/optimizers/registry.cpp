#include "client/optimizers/methods.h"

namespace gossamer {

const Registry<ClientOptimizer, std::size_t>& client_optimizers() {
  static const Registry<ClientOptimizer, std::size_t> table{
      "client_optimizers",
      "client.optimizer",
      "sgd",
      "how clients turn gradients into steps",
      {
          {{"sgd",
            "stochastic gradient descent, with momentum if asked",
            "",
            {real_option("client.momentum", 0, "momentum of sgd").at_least(0).at_most(0.999999),
             flag_option("client.nesterov", false, "Nesterov's form of the momentum")}},
           make_sgd},
          {{"adam",
            "moments of the gradient, bias-corrected",
            "Kingma, Ba: Adam: a method for stochastic optimization, 2015",
            {real_option("client.adam.beta1", 0.9, "decay of the first moment").at_least(0).at_most(0.999999),
             real_option("client.adam.beta2", 0.999, "decay of the second moment")
                 .at_least(0)
                 .at_most(0.999999),
             real_option("client.adam.epsilon", 1e-8, "added to the denominator").above(0)}},
           make_adam},
          {{"rmsprop",
            "gradient over its running root mean square",
            "Hinton, Srivastava, Swersky: Neural networks for machine learning, lecture 6e, 2012",
            {real_option("client.rmsprop.alpha", 0.99, "decay of the mean square")
                 .at_least(0)
                 .at_most(0.999999),
             real_option("client.rmsprop.epsilon", 1e-8, "added to the denominator").above(0)}},
           make_rmsprop},
          {{"adagrad",
            "gradient over the root of its summed squares",
            "Duchi, Hazan, Singer: Adaptive subgradient methods, 2011",
            {real_option("client.adagrad.epsilon", 1e-10, "added to the denominator").above(0)}},
           make_adagrad},
      }};
  return table;
}

}  // namespace gossamer

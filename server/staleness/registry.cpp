#include "server/staleness/methods.h"

namespace gossamer {
namespace {

const char* const kFedAsync = "Xie, Koyejo, Gupta: Asynchronous federated optimization, 2019";

}  // namespace

const Registry<StalenessWeight>& staleness_weights() {
  static const Registry<StalenessWeight> table{
      "staleness_weights",
      "sync.staleness_weight",
      "constant",
      "async and buffered: how much an update counts that comes from an old model version",
      {{{"constant", "as much as a fresh one", "", {}}, make_constant_weight},
       {{"polynomial",
         "(1 + staleness)^-a",
         kFedAsync,
         {real_option("sync.staleness_weight.polynomial.a", 0.5, "how fast it falls").at_least(0)}},
        make_polynomial_weight},
       {{"hinge",
         "1 up to staleness b, then 1 / (a (staleness - b) + 1)",
         kFedAsync,
         {real_option("sync.staleness_weight.hinge.a", 10, "how fast it falls after b").at_least(0),
          integer_option("sync.staleness_weight.hinge.b", 4, "staleness that is forgiven").at_least(0)}},
        make_hinge_weight}}};
  return table;
}

const Registry<Correction>& corrections() {
  static const Registry<Correction> table{
      "corrections",
      "sync.correction",
      "none",
      "async and buffered: what makes up for the model having moved since the update's version",
      {{{"none", "the update is added as it is", "", {}}, make_no_correction},
       {{"mixing",
         "the model moves a share of the way to the client's model",
         kFedAsync,
         {real_option("sync.correction.mixing.alpha", 0.6, "the share").above(0).at_most(1)}},
        make_mixing},
       {{"delay_compensation",
         "the gradient is taken to where the model is now, by a diagonal approximation of the Hessian",
         "Zheng, Meng, Wang, Chen, Yu, Ma, Liu: Asynchronous stochastic gradient descent with delay "
         "compensation, 2017",
         {real_option("sync.correction.delay_compensation.lambda", 0.04, "weight of the compensation")
              .at_least(0),
          flag_option("sync.correction.delay_compensation.adaptive", false,
                      "divide lambda by the root of the gradient's mean square")}},
        make_delay_compensation}}};
  return table;
}

std::unique_ptr<Correction> make_no_correction(const Options&) { return nullptr; }

}  // namespace gossamer

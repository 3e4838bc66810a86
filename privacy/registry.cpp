#include "privacy/methods.h"

namespace gossamer {

const Registry<Clipper, const ParameterLayout&>& clippers() {
  static const Registry<Clipper, const ParameterLayout&> table{
      "clippers",
      "privacy.clipping",
      "flat",
      "how a contribution is bounded before noise",
      {{{"flat",
         "the whole vector, by its norm",
         "Abadi, Chu, Goodfellow, McMahan, Mironov, Talwar, Zhang: Deep learning with differential privacy, "
         "2016",
         {}},
        make_flat_clipper},
       {{"per_layer",
         "each layer by its norm, all together at most the clip norm",
         "McMahan, Ramage, Talwar, Zhang: Learning differentially private recurrent language models, 2018",
         {}},
        make_per_layer_clipper}}};
  return table;
}

const Registry<PrivacyMechanism, const ParameterLayout&>& privacy_mechanisms() {
  static const Registry<PrivacyMechanism, const ParameterLayout&> table{
      "mechanisms",
      "privacy.mechanism",
      "none",
      "the noise that makes a run private",
      {{{"none", "no noise, no privacy claim", "", {}}, make_no_mechanism},
       {{"gaussian",
         "Gaussian noise, for contributions bounded in the L2 norm",
         "Dwork, Kenthapadi, McSherry, Mironov, Naor: Our data, ourselves: privacy via distributed noise "
         "generation, 2006",
         {}},
        make_gaussian},
       {{"laplace",
         "Laplace noise, for contributions bounded in the L1 norm",
         "Dwork, McSherry, Nissim, Smith: Calibrating noise to sensitivity in private data analysis, 2006",
         {}},
        make_laplace}}};
  return table;
}

}  // namespace gossamer

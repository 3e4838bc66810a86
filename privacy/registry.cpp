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
        make_per_layer_clipper},
       {{"adaptive",
         "the whole vector, by a norm that follows a quantile of the updates' norms, found with noise",
         "Andrew, Thakkar, McMahan, Ramaswamy: Differentially private learning with adaptive clipping, 2021",
         {real_option("privacy.adaptive.quantile", 0.5, "the share of updates to be within the norm")
              .at_least(0)
              .at_most(1),
          real_option("privacy.adaptive.lr", 0.2,
                      "how fast it follows: in a round by at most the factor exp(this)")
              .above(0),
          real_option("privacy.adaptive.bit_noise", 0,
                      "standard deviation of the noise on the number of updates within the norm; 0: a "
                      "twentieth of a cohort. The updates get so much more that both cost what "
                      "privacy.noise_multiplier says")
              .at_least(0)}},
        make_adaptive_clipper}}};
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
        make_laplace},
       {{"selective",
         "a fraction of the values, chosen and sent with Laplace noise; for contributions bounded value by "
         "value",
         "Shokri, Shmatikov: Privacy-preserving deep learning, 2015",
         {real_option("privacy.selective.fraction", 0.1, "of an update's values that leave, at most")
              .above(0)
              .at_most(1),
          text_option("privacy.selective.rule", "largest",
                      "which: the largest (under noise), or, in random order, those above a threshold (the "
                      "sparse vector technique)")
              .one_of({"largest", "threshold"}),
          real_option("privacy.selective.threshold", 0,
                      "rule = threshold: what a value's size is compared to")
              .at_least(0),
          real_option("privacy.selective.share", 0.5,
                      "of what a participation costs, the part that the choice takes; the values' noise has "
                      "the rest")
              .above(0)
              .at_most(0.99)}},
        make_selective}}};
  return table;
}

}  // namespace gossamer

#include "server/cohort/methods.h"

namespace gossamer {

const Registry<CohortSampler>& cohort_samplers() {
  static const Registry<CohortSampler> table{
      "cohort_samplers",
      "cohort.sampler",
      "uniform",
      "how a round's participants are chosen",
      {{{"uniform", "every cohort of that size is equally likely", "McMahan et al. 2017", {}},
        make_uniform_sampler},
       {{"poisson",
         "each client with probability cohort.fraction, whatever the others do; what amplifies central "
         "privacy",
         "McMahan, Ramage, Talwar, Zhang: Learning differentially private recurrent language models, 2018",
         {}},
        make_poisson_sampler}}};
  return table;
}

}  // namespace gossamer

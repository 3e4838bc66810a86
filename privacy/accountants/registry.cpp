#include "privacy/accountants/methods.h"

namespace gossamer {

const Registry<PrivacyAccountant>& accountants() {
  static const Registry<PrivacyAccountant> table{
      "accountants",
      "privacy.accountant",
      "rdp",
      "what the noise is worth: epsilon for a delta",
      {{{"rdp",
         "Renyi divergences of many orders, added up; the best order counts",
         "Mironov: Renyi differential privacy, 2017",
         {text_option("privacy.rdp.conversion", "improved",
                      "from Renyi divergence to epsilon: improved (Canonne, Kamath and Steinke 2020) or "
                      "classic (Mironov 2017)")
              .one_of({"improved", "classic"})}},
        make_rdp},
       {{"pld",
         "distribution of the privacy loss, rounded so that it only gets worse, composed by FFT",
         "Koskela, Jalko and Honkela: Computing tight differential privacy guarantees using FFT, 2020; "
         "Doroshenko et al.: Connect the dots, 2022",
         {}},
        make_pld}}};
  return table;
}

}  // namespace gossamer

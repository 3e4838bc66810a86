#pragma once

#include <memory>
#include <string>

#include "privacy/accountants/accountant.h"

namespace gossamer::testing {

inline std::unique_ptr<PrivacyAccountant> make_accountant(const std::string& name,
                                                          const std::string& conversion = "improved") {
  const auto schema = std::make_shared<OptionSchema>();
  add_methods(*schema, accountants().describe());
  Options options(schema);
  options.set("privacy.accountant", name);
  options.set("privacy.rdp.conversion", conversion);
  return accountants().make(options);
}

inline double epsilon_by(const std::string& name, const PrivacyEvent& event, double delta,
                         const std::string& conversion = "improved") {
  const auto accountant = make_accountant(name, conversion);
  accountant->add(event);
  return accountant->epsilon(delta);
}

}  // namespace gossamer::testing

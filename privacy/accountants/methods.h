#pragma once

#include <memory>

#include "privacy/accountants/accountant.h"

namespace gossamer {

std::unique_ptr<PrivacyAccountant> make_rdp(const Options&);
std::unique_ptr<PrivacyAccountant> make_pld(const Options&);

}  // namespace gossamer

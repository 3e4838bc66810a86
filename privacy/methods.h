#pragma once

#include <memory>

#include "privacy/clipper.h"
#include "privacy/mechanism.h"

namespace gossamer {

std::unique_ptr<Clipper> make_no_clipper(const Options&);
std::unique_ptr<PrivacyMechanism> make_no_mechanism(const Options&);

}  // namespace gossamer

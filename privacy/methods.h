#pragma once

#include <memory>

#include "privacy/clipper.h"
#include "privacy/mechanism.h"

namespace gossamer {

std::unique_ptr<Clipper> make_flat_clipper(const Options&, const ParameterLayout&);
std::unique_ptr<Clipper> make_adaptive_clipper(const Options&, const ParameterLayout&);
std::unique_ptr<Clipper> make_per_layer_clipper(const Options&, const ParameterLayout&);

std::unique_ptr<PrivacyMechanism> make_no_mechanism(const Options&, const ParameterLayout&);
std::unique_ptr<PrivacyMechanism> make_gaussian(const Options&, const ParameterLayout&);
std::unique_ptr<PrivacyMechanism> make_laplace(const Options&, const ParameterLayout&);
std::unique_ptr<PrivacyMechanism> make_selective(const Options&, const ParameterLayout&);

}  // namespace gossamer

// No privacy: updates leave as they are.
#include "privacy/methods.h"

namespace gossamer {
namespace {

class NoClipper final : public Clipper {
  void clip_values(std::span<float>) override {}
};

class NoMechanism final : public PrivacyMechanism {
  void add_noise(std::span<float>) override {}
};

}  // namespace

std::unique_ptr<Clipper> make_no_clipper(const Options&) { return std::make_unique<NoClipper>(); }
std::unique_ptr<PrivacyMechanism> make_no_mechanism(const Options&) {
  return std::make_unique<NoMechanism>();
}

}  // namespace gossamer

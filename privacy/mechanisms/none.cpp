// No privacy: updates leave as they are.
#include "privacy/methods.h"

namespace gossamer {
namespace {

class NoMechanism final : public PrivacyMechanism {
  void add_noise(const UpdateInfo&, std::span<float>) override {}
  bool reads_values() const noexcept override { return false; }
};

}  // namespace

std::unique_ptr<PrivacyMechanism> make_no_mechanism(const Options&, const ParameterLayout&) {
  return std::make_unique<NoMechanism>();
}

}  // namespace gossamer

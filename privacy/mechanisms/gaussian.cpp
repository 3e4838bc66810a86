// Dwork, Kenthapadi, McSherry, Mironov, Naor: "Our data, ourselves: privacy via distributed noise
// generation", EUROCRYPT 2006. Independent Gaussian noise on every trained float, of a contribution clipped
// in the L2 norm.
#include "privacy/methods.h"
#include "privacy/noise/noise.h"
#include "privacy/privacy_plan.h"

namespace gossamer {
namespace {

class Gaussian final : public PrivacyMechanism {
 public:
  Gaussian(const PrivacyPlan& plan, std::size_t parameters) : plan_(plan), parameters_(parameters) {}

 private:
  void add_noise(const UpdateInfo& info, std::span<float> values) override {
    const auto source = make_noise_source(plan_, static_cast<std::uint64_t>(info.client),
                                          static_cast<std::uint64_t>(info.round));
    add_gaussian_noise(values.first(parameters_), plan_.noise_multiplier * plan_.sensitivity(), *source);
  }

  PrivacyPlan plan_;
  std::size_t parameters_;
};

}  // namespace

std::unique_ptr<PrivacyMechanism> make_gaussian(const Options& options, const ParameterLayout& layout) {
  return std::make_unique<Gaussian>(privacy_plan(options), layout.parameter_count());
}

}  // namespace gossamer

// Dwork, McSherry, Nissim, Smith: "Calibrating noise to sensitivity in private data analysis", TCC 2006.
// Independent Laplace noise on every trained float, of a contribution clipped in the L1 norm.
#include "privacy/methods.h"
#include "privacy/noise/noise.h"
#include "privacy/privacy_plan.h"

namespace gossamer {
namespace {

class Laplace final : public PrivacyMechanism {
 public:
  Laplace(const PrivacyPlan& plan, std::size_t parameters) : plan_(plan), parameters_(parameters) {}

 private:
  void add_noise(const UpdateInfo& info, std::span<float> values) override {
    const auto source = make_noise_source(plan_, static_cast<std::uint64_t>(info.client),
                                          static_cast<std::uint64_t>(info.round));
    add_laplace_noise(values.first(parameters_), plan_.noise_multiplier * plan_.sensitivity(), *source);
  }

  PrivacyPlan plan_;
  std::size_t parameters_;
};

}  // namespace

std::unique_ptr<PrivacyMechanism> make_laplace(const Options& options, const ParameterLayout& layout) {
  return std::make_unique<Laplace>(privacy_plan(options), layout.parameter_count());
}

}  // namespace gossamer

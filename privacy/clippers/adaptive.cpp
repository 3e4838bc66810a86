// Andrew, Thakkar, McMahan, Ramaswamy: "Differentially private learning with adaptive clipping", NeurIPS
// 2021. The client's half: clips to the round's norm, and says whether it had to. (The server's:
// privacy/adaptive_clip.h.)
#include <cmath>

#include "privacy/clip.h"
#include "privacy/methods.h"
#include "privacy/privacy_plan.h"

namespace gossamer {
namespace {

class AdaptiveClipper final : public Clipper {
 public:
  AdaptiveClipper(const PrivacyPlan& plan, std::size_t parameters) : plan_(plan), parameters_(parameters) {}

  bool takes(double told) const noexcept override { return told > 0 && std::isfinite(told); }

 private:
  void bound(Update& update, double told) override {
    const double weight = plan_.weight_of(update.info.weight);
    conceal(update, parameters_);
    const std::span<float> values = std::span(update.values).first(parameters_);
    const double norm = clip_to(plan_.noise, told, values);
    shrink(values, weight);
    update.info.clip = std::make_shared<ClipReport>(ClipReport{norm <= told ? 1.0 : 0.0});
  }

  PrivacyPlan plan_;
  std::size_t parameters_;
};

}  // namespace

std::unique_ptr<Clipper> make_adaptive_clipper(const Options& options, const ParameterLayout& layout) {
  return std::make_unique<AdaptiveClipper>(privacy_plan(options), layout.parameter_count());
}

}  // namespace gossamer

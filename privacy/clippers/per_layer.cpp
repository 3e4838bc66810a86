// McMahan, Ramage, Talwar, Zhang: "Learning differentially private recurrent language models", ICLR 2018,
// section 2.2: each of m layers is clipped to C / sqrt(m), so that the whole is not longer than C.
#include <cmath>
#include <vector>

#include "privacy/clip.h"
#include "privacy/methods.h"
#include "privacy/privacy_plan.h"

namespace gossamer {
namespace {

class PerLayerClipper final : public Clipper {
 public:
  PerLayerClipper(const PrivacyPlan& plan, const ParameterLayout& layout)
      : plan_(plan), ends_(layer_ends(layout)), parameters_(layout.parameter_count()) {}

 private:
  void bound(Update& update, double) override {
    const double weight = plan_.weight_of(update.info.weight);
    conceal(update, parameters_);
    const double share = plan_.clip_norm / std::sqrt(static_cast<double>(ends_.size()));
    std::size_t begin = 0;
    for (const std::size_t end : ends_) {
      const std::span<float> layer = std::span(update.values).subspan(begin, end - begin);
      clip_to(plan_.noise, share, layer);
      shrink(layer, weight);
      begin = end;
    }
  }

  PrivacyPlan plan_;
  std::vector<std::size_t> ends_;
  std::size_t parameters_;
};

}  // namespace

std::unique_ptr<Clipper> make_per_layer_clipper(const Options& options, const ParameterLayout& layout) {
  return std::make_unique<PerLayerClipper>(privacy_plan(options), layout);
}

}  // namespace gossamer

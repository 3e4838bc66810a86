// Abadi, Chu, Goodfellow, McMahan, Mironov, Talwar, Zhang: "Deep learning with differential privacy", CCS
// 2016; of whole updates: McMahan, Ramage, Talwar, Zhang: "Learning differentially private recurrent language
// models", ICLR 2018. A vector that is longer than the clip norm is scaled down to it.
#include "privacy/clip.h"
#include "privacy/methods.h"
#include "privacy/privacy_plan.h"

namespace gossamer {
namespace {

class FlatClipper final : public Clipper {
 public:
  FlatClipper(const PrivacyPlan& plan, std::size_t parameters) : plan_(plan), parameters_(parameters) {}

 private:
  void bound(Update& update, double) override {
    const double weight = plan_.weight_of(update.info.weight);
    conceal(update, parameters_);
    const std::span<float> values = std::span(update.values).first(parameters_);
    clip_to(plan_.noise, plan_.clip_norm, values);
    shrink(values, weight);
  }

  PrivacyPlan plan_;
  std::size_t parameters_;
};

}  // namespace

std::unique_ptr<Clipper> make_flat_clipper(const Options& options, const ParameterLayout& layout) {
  return std::make_unique<FlatClipper>(privacy_plan(options), layout.parameter_count());
}

}  // namespace gossamer

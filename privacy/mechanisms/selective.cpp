// Shokri, Shmatikov: "Privacy-preserving deep learning", CCS 2015: of a client's update only a fraction of
// the values leaves, chosen under noise and sent with noise. How the budget is divided, and why that keeps to
// it: docs/privacy_guarantees.md (after Lyu, Su, Li: "Understanding the sparse vector technique for
// differential privacy", VLDB 2017).
#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>
#include <vector>

#include "privacy/methods.h"
#include "privacy/noise/noise.h"
#include "privacy/privacy_plan.h"

namespace gossamer {
namespace {

class Selective final : public PrivacyMechanism {
 public:
  Selective(const PrivacyPlan& plan, const Options& options, std::size_t parameters)
      : plan_(plan),
        parameters_(parameters),
        most_(std::max<std::size_t>(
            1, static_cast<std::size_t>(std::llround(options.real("privacy.selective.fraction") *
                                                     static_cast<double>(parameters))))),
        largest_(options.text("privacy.selective.rule") == "largest"),
        threshold_(options.real("privacy.selective.threshold")) {
    if (plan_.noise_multiplier == 0) return;
    // A participation costs 1 / noise_multiplier. Where all values leave there is nothing to choose.
    const double budget = 1 / plan_.noise_multiplier;
    const double of_choice = most_ < parameters_ ? budget * options.real("privacy.selective.share") : 0;
    const auto most = static_cast<double>(most_);
    value_scale_ = 2 * plan_.clip_norm * most / (budget - of_choice);
    if (of_choice == 0) return;
    if (largest_) {
      choice_scale_ = 2 * plan_.clip_norm * most / of_choice;
    } else {
      const double of_values = std::pow(2 * most, 2.0 / 3);  // to 1 of the threshold
      threshold_scale_ = plan_.clip_norm / (of_choice / (1 + of_values));
      choice_scale_ = 2 * plan_.clip_norm * most / (of_choice * of_values / (1 + of_values));
    }
  }

 private:
  void add_noise(const UpdateInfo& info, std::span<float> update) override {
    const std::span<float> values = update.first(parameters_);
    const auto source = make_noise_source(plan_, static_cast<std::uint64_t>(info.client),
                                          static_cast<std::uint64_t>(info.round));
    choose(values, *source);
    released_.resize(chosen_.size());
    for (std::size_t i = 0; i < chosen_.size(); ++i) released_[i] = values[chosen_[i]];
    add_laplace_noise(released_, value_scale_, *source);
    std::ranges::fill(values, 0.0F);
    for (std::size_t i = 0; i < chosen_.size(); ++i) values[chosen_[i]] = released_[i];
  }

  // Leaves the numbers of those that leave in chosen_.
  void choose(std::span<const float> values, NoiseSource& source) {
    chosen_.resize(values.size());
    std::iota(chosen_.begin(), chosen_.end(), std::uint32_t{0});
    if (most_ >= values.size()) return;
    sizes_.resize(values.size());
    std::ranges::transform(values, sizes_.begin(), [](float value) { return std::abs(value); });
    add_laplace_noise(sizes_, choice_scale_, source);
    if (largest_) {
      // Of equals that with the lower number.
      const auto before = [&](std::uint32_t a, std::uint32_t b) {
        return sizes_[a] != sizes_[b] ? sizes_[a] > sizes_[b] : a < b;
      };
      std::ranges::nth_element(chosen_, chosen_.begin() + static_cast<std::ptrdiff_t>(most_), before);
      chosen_.resize(most_);
    } else {
      keep_above_threshold(source);
    }
    std::ranges::sort(chosen_);
  }

  // In an order that does not depend on the values, up to the last one that may leave.
  void keep_above_threshold(NoiseSource& source) {
    std::array<float, 1> threshold{static_cast<float>(threshold_)};
    add_laplace_noise(threshold, threshold_scale_, source);
    random_.resize(chosen_.size());
    source.fill(std::as_writable_bytes(std::span(random_)));
    for (std::size_t i = chosen_.size(); i > 1; --i) std::swap(chosen_[i - 1], chosen_[random_[i - 1] % i]);
    std::size_t kept = 0;
    for (std::size_t i = 0; i < chosen_.size() && kept < most_; ++i) {
      if (sizes_[chosen_[i]] >= threshold[0]) chosen_[kept++] = chosen_[i];
    }
    chosen_.resize(kept);
  }

  PrivacyPlan plan_;
  std::size_t parameters_, most_;
  bool largest_;
  double threshold_;
  double choice_scale_ = 0, threshold_scale_ = 0, value_scale_ = 0;  // of Laplace noise
  std::vector<std::uint32_t> chosen_;
  FloatBuffer sizes_, released_;
  std::vector<std::uint64_t> random_;
};

}  // namespace

std::unique_ptr<PrivacyMechanism> make_selective(const Options& options, const ParameterLayout& layout) {
  return std::make_unique<Selective>(privacy_plan(options), options, layout.parameter_count());
}

}  // namespace gossamer

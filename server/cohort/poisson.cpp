// McMahan, Ramage, Talwar, Zhang: "Learning differentially private recurrent language models", ICLR 2018:
// each client takes part with probability q, whatever the others do. With privacy.placement = central the
// privacy of a run counts on nobody knowing who did: then it is drawn from the operating system's randomness.
#include <array>

#include "core/rng.h"
#include "privacy/privacy_plan.h"
#include "server/cohort/methods.h"

namespace gossamer {
namespace {

// In place of a client's number: draws of a source that are no noise.
constexpr std::uint64_t kCohortDraws = kServerNoise - 1;

class PoissonSampler final : public CohortSampler {
 public:
  PoissonSampler(const PrivacyPlan& plan, double rate) : plan_(plan), rate_(rate) {}

  bool fixed_size() const noexcept override { return false; }
  // Where some are away, the others do not take part more often.
  std::vector<std::int64_t> sample(std::int64_t population, std::int64_t, std::uint64_t seed,
                                   Round round) override {
    const bool everybody = rate_ >= 1;
    const auto below = everybody ? 0 : static_cast<std::uint64_t>(rate_ * 0x1p64);
    Draws draws(plan_, seed, round);
    std::vector<std::int64_t> chosen;
    for (std::int64_t i = 0; i < population; ++i) {
      if (draws.next() < below || everybody) chosen.push_back(i);
    }
    return chosen;
  }

 private:
  class Draws {
   public:
    Draws(const PrivacyPlan& plan, std::uint64_t seed, Round round)
        : rng_(seed, Purpose::cohort, 0, static_cast<std::uint64_t>(round)) {
      if (plan.placement == Placement::central)
        source_ = make_noise_source(plan, kCohortDraws, static_cast<std::uint64_t>(round));
    }
    std::uint64_t next() {
      if (!source_) return rng_.bits64();
      if (at_ == words_.size()) {
        source_->fill(std::as_writable_bytes(std::span(words_)));
        at_ = 0;
      }
      return words_[at_++];
    }

   private:
    Rng rng_;
    std::unique_ptr<NoiseSource> source_;
    std::array<std::uint64_t, 1024> words_{};
    std::size_t at_ = words_.size();
  };

  PrivacyPlan plan_;
  double rate_;
};

}  // namespace

std::unique_ptr<CohortSampler> make_poisson_sampler(const Options& options) {
  const std::int64_t size = options.integer("cohort.size");
  const double rate = size > 0
                          ? static_cast<double>(size) / static_cast<double>(options.integer("data.clients"))
                          : options.real("cohort.fraction");
  return std::make_unique<PoissonSampler>(privacy_plan(options), rate);
}

}  // namespace gossamer

// Uniform sampling without replacement by Floyd's method (Bentley and Floyd, "A sample of brilliance", 1987).
#include <set>

#include "core/rng.h"
#include "server/cohort/methods.h"

namespace gossamer {
namespace {

class UniformSampler final : public CohortSampler {
 public:
  std::vector<std::int64_t> sample(std::int64_t population, std::int64_t size, std::uint64_t seed,
                                   Round round) override {
    Rng rng(seed, Purpose::cohort, 0, static_cast<std::uint64_t>(round));
    std::set<std::int64_t> chosen;
    for (std::int64_t i = population - size; i < population; ++i) {
      const auto candidate = static_cast<std::int64_t>(rng.below(static_cast<std::uint64_t>(i) + 1));
      if (!chosen.insert(candidate).second) chosen.insert(i);
    }
    return {chosen.begin(), chosen.end()};
  }
};

}  // namespace

std::unique_ptr<CohortSampler> make_uniform_sampler(const Options&) {
  return std::make_unique<UniformSampler>();
}

}  // namespace gossamer

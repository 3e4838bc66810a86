// FedAsync (Xie, Koyejo, Gupta: "Asynchronous federated optimization", 2019): the new model is (1 - alpha)
// times the current one plus alpha times the client's, so the update becomes alpha (base + update - current).
// The weight of its staleness is a factor on top; alpha itself stays as configured.
#include "server/staleness/methods.h"

namespace gossamer {
namespace {

class Mixing final : public Correction {
 public:
  explicit Mixing(float alpha) : alpha_(alpha) {}

  bool is_elementwise() const noexcept override { return true; }
  void correct(std::span<float> update, std::span<const float> current,
               std::span<const float> base) override {
    for (std::size_t i = 0; i < update.size(); ++i) {
      update[i] = alpha_ * (update[i] + (base[i] - current[i]));
    }
  }

 private:
  float alpha_;
};

}  // namespace

std::unique_ptr<Correction> make_mixing(const Options& options) {
  return std::make_unique<Mixing>(static_cast<float>(options.real("sync.correction.mixing.alpha")));
}

}  // namespace gossamer

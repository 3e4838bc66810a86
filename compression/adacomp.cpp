// AdaComp (Hardy, Le Merrer, Sericola: "Distributed deep learning on edge-devices: feasibility via adaptive
// compression", NCA 2017): of each tensor the share compression.adacomp.density of its values, at least one,
// that are the largest in magnitude of what has added up since they were last sent; the others wait. And old
// news count less: the paper's server takes the step eta / sigma for a value whose update is sigma updates
// stale.
//
// Servers here know of no single value, and with rounds in lockstep a whole update is never stale; but its
// values are, and the sender knows by how much: sigma is how many messages ago the value was last sent (1: it
// was in the one before), and in the first messages, how many there have been. What is sent is what has added
// up, divided by sigma, which is its mean over the messages that it waited. What the division takes away is
// not kept: as in the paper, what has been sent begins again from zero. Messages are counted, not rounds: in
// a round that a client sits out nothing of its own gets older.
//
// The payload is that of top_k (sparse_floats.h).
#include "compression/methods.h"
#include "compression/sparse_floats.h"

namespace gossamer {
namespace {

class AdaComp final : public Method {
 public:
  AdaComp(double density, bool divides) : density_(density), divides_(divides) {}

  CompressorTraits traits() const noexcept override { return {.telescopes = !divides_}; }
  bool by_tensor() const noexcept override { return true; }
  // What waits, the number of the message that each value was last in, and that of the last message.
  std::size_t state_floats(std::size_t floats) const noexcept override { return 2 * floats + 1; }
  bool has_residual() const noexcept override { return true; }
  bool has_fixed_length() const noexcept override { return false; }
  std::size_t most_bytes(std::size_t floats) const noexcept override {
    return most_sparse_bytes(floats, kept_values(density_, floats));
  }
  std::size_t scratch_bytes(std::size_t floats) const noexcept override { return choice_bytes(floats); }

  std::optional<std::size_t> encode(std::span<const float> values, std::span<float> state, EncodeContext,
                                    std::span<std::byte> payload) const override {
    const std::size_t n = values.size();
    const auto chosen =
        choose_largest(values, state.data(), kept_values(density_, n), payload.subspan(most_bytes(n)));
    if (!chosen) return std::nullopt;
    // Exact up to 2^24 messages, from where on nothing gets older any more.
    const float now = state.back() += 1;
    for (std::size_t i = 0; i < chosen->indices.size(); ++i) {
      float& last = state[n + chosen->indices[i]];
      if (divides_ && now - last > 1) chosen->values[i] /= now - last;
      last = now;
    }
    return write_sparse(*chosen, n, payload.data());
  }

  bool is_valid(std::span<const std::byte> payload, std::size_t floats) const noexcept override {
    return is_valid_sparse(payload, floats, kept_values(density_, floats));
  }
  void add(std::span<const std::byte> payload, float weight, std::span<float> sum) const noexcept override {
    add_sparse(payload, kept_values(density_, sum.size()), weight, sum);
  }

 private:
  const double density_;
  const bool divides_;
};

}  // namespace

std::unique_ptr<Method> make_adacomp(const Options& options) {
  return std::make_unique<AdaComp>(options.real("compression.adacomp.density"),
                                   options.flag("compression.adacomp.staleness"));
}

}  // namespace gossamer

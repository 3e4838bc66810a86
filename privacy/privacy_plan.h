#pragma once

#include <cstdint>
#include <memory>
#include <optional>

#include "core/options.h"
#include "privacy/accountants/search.h"
#include "privacy/noise/noise_source.h"

namespace gossamer {

// Where noise is added, and so who is trusted (docs/privacy_guarantees.md).
enum class Placement {
  none,
  example,  // in every step of a client's training: protects each example of it
  client,   // to each update before it leaves: protects a client from everybody, the server included
  central,  // by the server, to the sum of a round's updates: protects a client from who sees the models
};

// privacy.clipping = adaptive (privacy/adaptive_clip.h).
struct AdaptiveClipping {
  double quantile = 0.5;  // of the updates' norms that the clip norm follows; 0 .. 1
  double lr = 0.2;
  // Standard deviation of the noise on the number of updates within the norm; 0: a twentieth of a cohort.
  double bit_noise = 0;
};

// What is private about a run, and how much noise that takes: the [privacy] section, settled.
struct PrivacyPlan {
  Placement placement = Placement::none;
  NoiseKind noise = NoiseKind::gaussian;
  // L2 under Gaussian, L1 under Laplace noise, `pure`: of each value; infinite: no bound; adaptive: the
  // first.
  double clip_norm = 0;
  std::optional<AdaptiveClipping> adaptive;
  // Standard deviation (Laplace: scale) of the noise, in units of sensitivity(); pure: 1 / epsilon.
  double noise_multiplier = 0;
  double delta = 0;
  double sampling_rate = 1;  // Poisson: of an example in a step, of a client in a round
  std::uint64_t steps = 1;   // noisy sums that one participation, or round, releases
  // placement = example: what a lot's sum is divided by, whatever its size.
  double nominal_lot = 1;
  std::optional<double> target_epsilon;
  // Noise multiplier of a Gaussian release that was made of the same examples before the run; 0: none.
  double setup_noise = 0;
  // placement = central: an update counts min(its examples / weight_cap, 1) (McMahan et al. 2018); 0: 1.
  double weight_cap = 0;
  // placement = central: what the sum of a round is divided by, whoever took part.
  double denominator = 1;
  std::optional<std::uint64_t> insecure_seed;

  bool is_private() const noexcept { return placement != Placement::none; }
  // How far one record moves what the noise is added to. Where an update is replaced by another (placement
  // client), twice the clip norm.
  double sensitivity() const noexcept { return placement == Placement::client ? 2 * clip_norm : clip_norm; }
  double weight_of(double examples) const noexcept {
    return weight_cap > 0 && examples < weight_cap ? examples / weight_cap : 1;
  }
  // What one participation (of a client) or one round (of a Poisson cohort) costs.
  PrivacyEvent event() const { return {noise, noise_multiplier, sampling_rate, steps}; }
};

// Requires settle_lots() and settle_privacy(), or no [privacy] key given.
PrivacyPlan privacy_plan(const Options& options);

// Accountants of the run, which have spent what came before it.
MakeAccountant make_accountants(const Options& options);

// For the noise and the lots of one client's round, or of the server's; from privacy.insecure_seed where it
// is given.
std::unique_ptr<NoiseSource> make_noise_source(const PrivacyPlan& plan, std::uint64_t client,
                                               std::uint64_t round);
// The server's number as `client`.
inline constexpr std::uint64_t kServerNoise = ~std::uint64_t{0};

void add_privacy_options(OptionSchema& schema);

// placement = example: settles privacy.sampling_rate and privacy.lot_size where they were left alone, by what
// a client has on average (0: unknown). To be called before settle_privacy(). Throws ConfigError where one of
// them cannot be.
void settle_lots(Options& options, double examples_a_client);

// Refuses what is missing, void or of another placement, with one line; settles privacy.noise_multiplier
// where privacy.target_epsilon asks for it. `releases`: participations of a client, or rounds, that the run
// plans at most. To be called once, after everything else is settled. Throws ConfigError.
void settle_privacy(Options& options, std::uint64_t releases);

}  // namespace gossamer

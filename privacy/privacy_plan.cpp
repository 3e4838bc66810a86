#include "privacy/privacy_plan.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <limits>
#include <stdexcept>

#include "core/error.h"
#include "core/text.h"
#include "privacy/accountants/search.h"
#include "privacy/adaptive_clip.h"
#include "privacy/clipper.h"
#include "privacy/mechanism.h"

namespace gossamer {
namespace {

constexpr std::array kKeys{"privacy.placement",   "privacy.clipping",         "privacy.clip_norm",
                           "privacy.delta",       "privacy.noise_multiplier", "privacy.target_epsilon",
                           "privacy.accountant",  "privacy.sampling_rate",    "privacy.insecure_seed",
                           "privacy.lot_size",    "privacy.setup_noise",      "privacy.weight_cap",
                           "privacy.total_weight"};

constexpr double kChosen = -1;  // of the noise multiplier: for the target

[[noreturn]] void refuse(const std::string& what) { throw ConfigError(what); }

Placement placement_of(const Options& options) {
  if (options.text("privacy.mechanism") == "none") return Placement::none;
  const std::string& name = options.text("privacy.placement");
  return name == "example"   ? Placement::example
         : name == "client"  ? Placement::client
         : name == "central" ? Placement::central
                             : Placement::none;
}

NoiseKind noise_of(const Options& options) {
  const std::string& name = options.text("privacy.mechanism");
  return name == "laplace" ? NoiseKind::laplace : name == "selective" ? NoiseKind::pure : NoiseKind::gaussian;
}

bool has_noise(const Options& options) { return options.real("privacy.noise_multiplier") >= 0; }

void check_missing(const Options& options) {
  const std::string chosen = "privacy.mechanism = " + options.text("privacy.mechanism");
  if (options.text("privacy.placement") == "none")
    refuse("privacy.placement is missing: " + chosen +
           " needs to know who is trusted; expected example, client or central (docs/privacy_guarantees.md)");
  if (options.real("privacy.clip_norm") == 0)
    refuse(
        (options.given("privacy.clip_norm") ? "privacy.clip_norm = 0: " : "privacy.clip_norm is missing: ") +
        chosen + " protects contributions of at most that norm; expected a number above 0");
  const double noise = options.real("privacy.noise_multiplier");
  if (noise != kChosen && noise != 0 && noise < kLeastNoiseMultiplier)
    refuse("privacy.noise_multiplier = " + options.raw("privacy.noise_multiplier") + ": expected at least " +
           shortest(kLeastNoiseMultiplier) + ", or 0 for a run without a guarantee");
  if (!has_noise(options) && std::isinf(options.real("privacy.target_epsilon")))
    refuse("privacy.noise_multiplier is missing: give it, or privacy.target_epsilon in its place");
}

// What the noise is for.
void check_noise(const Options& options) {
  const Placement placement = placement_of(options);
  const NoiseKind noise = noise_of(options);
  const std::string chosen = "privacy.mechanism = " + options.text("privacy.mechanism");
  if (noise == NoiseKind::laplace && placement == Placement::example)
    refuse(chosen +
           ": with privacy.placement = example gradients are clipped in the L2 norm, and this noise is for "
           "the L1 norm; use privacy.mechanism = gaussian");
  if (noise == NoiseKind::pure && placement != Placement::client)
    refuse(chosen +
           ": a client chooses which values of its update leave, so only with privacy.placement = client; "
           "here privacy.placement = " +
           options.text("privacy.placement"));
  if (noise != NoiseKind::gaussian && options.text("privacy.clipping") != "flat")
    refuse("privacy.clipping = " + options.text("privacy.clipping") + ": for " + chosen + " " +
           (noise == NoiseKind::laplace ? "the L1 norm is clipped as a whole" : "each value is clipped") +
           "; use privacy.clipping = flat");
}

void check_clipping(const Options& options) {
  const Placement placement = placement_of(options);
  if (options.text("privacy.clipping") == "adaptive" && placement != Placement::central)
    refuse(
        "privacy.clipping = adaptive: the server learns the norm from what all clients say of theirs, so "
        "only "
        "with privacy.placement = central; here privacy.placement = " +
        options.text("privacy.placement"));
  if (options.text("privacy.clipping") == "adaptive" && std::isinf(options.real("privacy.clip_norm")))
    refuse("privacy.clip_norm = inf: privacy.clipping = adaptive begins with it; expected a finite number");
  if (std::isinf(options.real("privacy.clip_norm")) && options.real("privacy.noise_multiplier") != 0)
    refuse(
        "privacy.clip_norm = inf: no noise hides a contribution without a bound; only with "
        "privacy.noise_multiplier = 0, to compare with a run without privacy");
}

void check_placement(const Options& options) {
  const Placement placement = placement_of(options);
  for (const char* key : {"privacy.lot_size", "privacy.setup_noise"}) {
    if (placement != Placement::example && options.real(key) > 0)
      refuse(std::string(key) + " = " + options.raw(key) +
             ": only used with privacy.placement = example; here privacy.placement = " +
             options.text("privacy.placement"));
  }
  if (options.real("privacy.setup_noise") > 0 && options.integer("data.clients") != 1)
    refuse("privacy.setup_noise = " + options.raw("privacy.setup_noise") +
           ": of a release made where all examples are, so only with data.clients = 1; here data.clients = " +
           options.raw("data.clients"));
  if (placement != Placement::example && options.real("privacy.sampling_rate") > 0)
    refuse("privacy.sampling_rate = " + options.raw("privacy.sampling_rate") +
           ": of the examples of a lot, so only used with privacy.placement = example; with placement = "
           "central cohort.fraction is a rate where cohort.sampler = poisson");
  for (const char* key : {"privacy.weight_cap", "privacy.total_weight"}) {
    if (placement != Placement::central && options.real(key) > 0)
      refuse(std::string(key) + " = " + options.raw(key) +
             ": only used with privacy.placement = central; here privacy.placement = " +
             options.text("privacy.placement"));
  }
  if (placement == Placement::central && options.text("cohort.sampler") == "poisson" &&
      options.integer("cohort.size") == 0 && options.real("cohort.fraction") == 0)
    refuse(
        "cohort.fraction = 0: with cohort.sampler = poisson nobody would take part; expected a number above "
        "0");
}

// As written in config.ini: six digits, rounded up, so that processes on different machines agree.
std::string six_digits_up(double value) {
  const double unit = std::pow(10.0, std::floor(std::log10(value)) - 5);
  char text[40];
  std::snprintf(text, sizeof text, "%.6g", std::ceil(value / unit) * unit);
  return text;
}

// The noise that keeps to privacy.target_epsilon; or whether what was given does.
void settle_target(Options& options, const PrivacyPlan& plan, bool wants_noise, std::uint64_t releases) {
  PrivacyEvent event = plan.event();
  const MakeAccountant make = make_accountants(options);
  if (wants_noise) {
    event.steps *= std::max<std::uint64_t>(1, releases);
    const double noise = noise_multiplier_for(make, event, plan.delta, *plan.target_epsilon);
    options.set_default("privacy.noise_multiplier", six_digits_up(noise));
    return;
  }
  if (plan.noise_multiplier == 0 || steps_for(make, event, plan.delta, *plan.target_epsilon) < plan.steps)
    refuse("privacy.target_epsilon = " + options.raw("privacy.target_epsilon") +
           ": not even one round with privacy.noise_multiplier = " + options.raw("privacy.noise_multiplier") +
           " keeps to it; give more noise, or none to have it chosen");
}

}  // namespace

PrivacyPlan privacy_plan(const Options& options) {
  PrivacyPlan plan;
  plan.placement = placement_of(options);
  if (!plan.is_private()) return plan;
  plan.noise = noise_of(options);
  plan.clip_norm = options.real("privacy.clip_norm");
  if (options.text("privacy.clipping") == "adaptive") {
    plan.adaptive = {options.real("privacy.adaptive.quantile"), options.real("privacy.adaptive.lr"),
                     options.real("privacy.adaptive.bit_noise")};
  }
  plan.noise_multiplier = options.real("privacy.noise_multiplier");
  plan.delta = options.real("privacy.delta");
  if (std::isfinite(options.real("privacy.target_epsilon")))
    plan.target_epsilon = options.real("privacy.target_epsilon");
  if (options.integer("privacy.insecure_seed") >= 0)
    plan.insecure_seed = static_cast<std::uint64_t>(options.integer("privacy.insecure_seed"));
  if (plan.placement == Placement::example) {
    plan.sampling_rate = options.real("privacy.sampling_rate");
    if (plan.sampling_rate == 0) throw std::logic_error("privacy.sampling_rate is not settled");
    plan.nominal_lot = options.real("privacy.lot_size");
    plan.setup_noise = options.real("privacy.setup_noise");
    const std::int64_t steps = options.integer("client.local_steps");
    const double a_pass = std::ceil(1 / plan.sampling_rate - 1e-9);
    plan.steps = static_cast<std::uint64_t>(
        steps > 0 ? static_cast<double>(steps)
                  : a_pass * static_cast<double>(options.integer("client.local_epochs")));
  }
  if (plan.placement == Placement::central) {
    const auto clients = static_cast<double>(options.integer("data.clients"));
    const bool poisson = options.text("cohort.sampler") == "poisson";
    double share = options.real("cohort.fraction");
    if (!poisson) share = std::max(1.0, std::round(share * clients)) / clients;
    if (options.integer("cohort.size") > 0)
      share = std::min(1.0, static_cast<double>(options.integer("cohort.size")) / clients);
    if (poisson) plan.sampling_rate = share;
    plan.weight_cap = options.real("privacy.weight_cap");
    const double total = options.real("privacy.total_weight");
    plan.denominator = share * (total > 0 ? total : clients);
  }
  return plan;
}

MakeAccountant make_accountants(const Options& options) {
  return [options, before = privacy_plan(options).setup_noise] {
    auto accountant = accountants().make(options);
    if (before > 0) accountant->add({NoiseKind::gaussian, before, 1, 1});
    return accountant;
  };
}

std::unique_ptr<NoiseSource> make_noise_source(const PrivacyPlan& plan, std::uint64_t client,
                                               std::uint64_t round) {
  return plan.insecure_seed ? make_insecure_noise_source(*plan.insecure_seed, client, round)
                            : make_secure_noise_source();
}

void add_privacy_options(OptionSchema& schema) {
  add_methods(schema, privacy_mechanisms().describe());
  schema.add(text_option("privacy.placement", "none",
                         "where noise is added, and so who is trusted: example (in a client's training), "
                         "client (to its update, before it leaves), central (by the server)")
                 .one_of({"none", "example", "client", "central"}));
  add_methods(schema, clippers().describe());
  schema.add(real_option("privacy.clip_norm", 0,
                         "the most that one example (placement = example) or client contributes to a sum: L2 "
                         "norm, with laplace L1, with selective each value")
                 .at_least(0)
                 .or_infinite());
  schema.add(
      real_option("privacy.noise_multiplier", kChosen,
                  "standard deviation (laplace: scale) of the noise over what one record can change: "
                  "the clip norm, with placement = client twice that; selective: 1 over the epsilon of "
                  "a participation; -1: as much as privacy.target_epsilon asks for")
          .at_least(kChosen));
  schema.add(real_option("privacy.target_epsilon", std::numeric_limits<double>::infinity(),
                         "the run ends before epsilon would pass this")
                 .above(0)
                 .or_infinite());
  schema.add(real_option("privacy.delta", 1e-5, "at which epsilon is stated").above(0).at_most(0.5));
  add_methods(schema, accountants().describe());
  schema.add(real_option("privacy.sampling_rate", 0,
                         "placement = example: the probability of each example to be in a step's lot; 0: "
                         "client.batch_size over the examples that a client has on average")
                 .at_least(0)
                 .at_most(1));
  schema.add(real_option("privacy.lot_size", 0,
                         "placement = example: the nominal size of a lot, which the sum of its gradients is "
                         "divided by; 0: client.batch_size, or where that is 0 the sampling rate times the "
                         "examples that a client has on average")
                 .at_least(0));
  schema.add(
      real_option("privacy.setup_noise", 0,
                  "placement = example: the noise multiplier of a Gaussian release that was made of the same "
                  "examples before the run, such as that of gossamer pca; epsilon counts it; 0: none")
          .at_least(0));
  schema.add(
      real_option("privacy.weight_cap", 0,
                  "placement = central: an update of n examples counts min(n / this, 1); 0: each counts 1")
          .at_least(0));
  schema.add(
      real_option("privacy.total_weight", 0,
                  "placement = central: what all clients together count; a round's sum is divided by the "
                  "share of it that a cohort is expected to have; 0: data.clients")
          .at_least(0));
  schema.add(integer_option("privacy.insecure_seed", -1,
                            "noise from this seed: for tests and identical reruns, without any privacy; -1: "
                            "from the operating system")
                 .at_least(-1));
}

void settle_lots(Options& options, double examples_a_client) {
  if (placement_of(options) != Placement::example) return;
  const auto batch = static_cast<double>(options.integer("client.batch_size"));
  if (examples_a_client > 0 && batch > examples_a_client)
    refuse("client.batch_size = " + options.raw("client.batch_size") +
           ": with privacy.placement = example the nominal size of a lot; clients have " +
           shortest(examples_a_client) + " examples on average; expected at most that");
  if (options.real("privacy.sampling_rate") == 0) {
    if (examples_a_client == 0)
      refuse("privacy.sampling_rate is missing: how many examples clients have is not known here");
    options.set("privacy.sampling_rate", shortest(batch == 0 ? 1 : batch / examples_a_client));
  }
  if (options.real("privacy.lot_size") > 0) return;
  if (batch == 0 && examples_a_client == 0)
    refuse("privacy.lot_size is missing: how many examples clients have is not known here");
  const double all = options.real("privacy.sampling_rate") * examples_a_client;
  options.set("privacy.lot_size", shortest(batch == 0 ? all : batch));
}

void settle_privacy(Options& options, std::uint64_t releases) {
  if (options.text("privacy.mechanism") == "none") {
    for (const char* key : kKeys) {
      if (options.raw(key) != options.schema().find(key)->default_value)
        refuse(std::string(key) + " = " + options.raw(key) +
               ": only used with noise; here privacy.mechanism = none");
    }
    return;
  }
  check_missing(options);
  check_noise(options);
  check_clipping(options);
  check_placement(options);
  const bool wants_noise = !has_noise(options);
  if (const PrivacyPlan plan = privacy_plan(options); plan.target_epsilon) {
    settle_target(options, plan, wants_noise, releases);
  }
  if (const PrivacyPlan plan = privacy_plan(options); plan.adaptive) static_cast<void>(AdaptiveClip(plan));
}

}  // namespace gossamer

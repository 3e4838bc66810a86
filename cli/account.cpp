// gossamer account: what a run will have cost, or how much noise or how many steps a budget asks for.
#include <charconv>
#include <cmath>
#include <cstdio>
#include <limits>
#include <optional>

#include "cli/commands.h"
#include "core/error.h"
#include "core/text.h"
#include "privacy/accountants/search.h"

namespace gossamer {
namespace {

std::optional<double> number(const CommandLine& line, const std::string& flag, double least_excluded,
                             double most, const std::string& expected) {
  const auto given = line.extra.find(flag);
  if (given == line.extra.end()) return {};
  const std::string& text = given->second;
  double value = 0;
  const auto [end, fault] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (fault != std::errc() || end != text.data() + text.size() || !(value > least_excluded && value <= most))
    throw ConfigError("--" + flag + " = " + text + ": expected " + expected);
  return value;
}

std::optional<double> positive(const CommandLine& line, const std::string& flag) {
  return number(line, flag, 0, std::numeric_limits<double>::max(), "a number above 0");
}

std::string choice(const CommandLine& line, const std::string& flag, const std::string& standard,
                   const std::vector<std::string>& choices) {
  const auto given = line.extra.find(flag);
  if (given == line.extra.end()) return standard;
  for (const std::string& one : choices) {
    if (given->second == one) return one;
  }
  throw ConfigError("--" + flag + " = " + given->second + ": expected " + joined(choices, " or "));
}

struct AccountRequest {
  PrivacyEvent event;
  double delta = 0;
  std::optional<double> target, noise, steps;
  std::shared_ptr<OptionSchema> schema = std::make_shared<OptionSchema>();
  MakeAccountant make;
};

AccountRequest account_request(const CommandLine& line) {
  AccountRequest request;
  const std::string mechanism = choice(line, "mechanism", "gaussian", {"gaussian", "laplace", "pure"});
  request.event.mechanism = mechanism == "laplace" ? NoiseKind::laplace
                            : mechanism == "pure"  ? NoiseKind::pure
                                                   : NoiseKind::gaussian;
  request.event.sampling_rate = number(line, "sampling_rate", 0, 1, "a number above 0 and at most 1").value();
  request.delta = number(line, "delta", 0, std::nextafter(1.0, 0.0), "a number between 0 and 1").value();
  request.target = positive(line, "target_epsilon");
  request.noise = positive(line, "noise_multiplier");
  request.steps = number(line, "steps", 0, 1e12, "a whole number from 1 to 1000000000000");
  if (request.steps && *request.steps != std::floor(*request.steps))
    throw ConfigError("--steps = " + line.extra.at("steps") + ": expected a whole number");
  if (!request.target && !request.noise)
    throw ConfigError(
        "gossamer account: --noise_multiplier S is missing, or --target_epsilon E in its place");
  if (!request.target && !request.steps)
    throw ConfigError("gossamer account: --steps T is missing, or --target_epsilon E in its place");
  if (request.target && request.noise.has_value() == request.steps.has_value())
    throw ConfigError(
        "gossamer account: --target_epsilon takes the place of --noise_multiplier or of --steps; give "
        "one of the two");
  request.event.noise_multiplier = request.noise.value_or(1);
  request.event.steps = static_cast<std::uint64_t>(request.steps.value_or(1));

  add_methods(*request.schema, accountants().describe());
  Options options(request.schema);
  options.set("privacy.accountant", choice(line, "accountant", "rdp", accountants().names()));
  const std::string conversion = choice(line, "conversion", "improved", {"improved", "classic"});
  if (line.extra.contains("conversion") && options.text("privacy.accountant") != "rdp")
    throw ConfigError("--conversion = " + conversion + ": only used with --accountant rdp");
  options.set("privacy.rdp.conversion", conversion);
  request.make = [options] { return accountants().make(options); };
  return request;
}

// The digits that are printed are never less than the value.
std::string nine_digits_up(double value) {
  char text[40];
  std::snprintf(text, sizeof text, "%.9g", value);
  if (std::strtod(text, nullptr) < value) {
    const double unit = std::pow(10.0, std::floor(std::log10(value)) - 8);
    std::snprintf(text, sizeof text, "%.9g", value + unit);
  }
  return text;
}

}  // namespace

int account_command(const CommandLine& line) {
  AccountRequest request = account_request(line);
  PrivacyEvent& event = request.event;
  std::string answer;
  if (request.target && request.noise) {
    const std::uint64_t steps = steps_for(request.make, event, request.delta, *request.target);
    if (steps == 0)
      throw ConfigError("--target_epsilon = " + shortest(*request.target) +
                        ": not even one step with this noise keeps to it; expected more, or more noise");
    event.steps = steps;
    answer = std::to_string(steps);
  } else if (request.target) {
    event.noise_multiplier = noise_multiplier_for(request.make, event, request.delta, *request.target);
    answer = nine_digits_up(event.noise_multiplier);
  }
  const auto accountant = request.make();
  accountant->add(event);
  const double epsilon = accountant->epsilon(request.delta);
  if (answer.empty()) {
    char text[40];
    std::snprintf(text, sizeof text, "%.9g", epsilon);
    answer = text;
  }
  const auto steps = static_cast<unsigned long long>(event.steps);
  if (event.mechanism == NoiseKind::pure) {
    std::printf("any releases of epsilon 1 / %.9g each; %llu steps\n", event.noise_multiplier, steps);
  } else {
    const bool laplace = event.mechanism == NoiseKind::laplace;
    std::printf("%s noise, noise multiplier %.9g of the sensitivity in the %s norm; %llu steps\n",
                laplace ? "Laplace" : "Gaussian", event.noise_multiplier, laplace ? "L1" : "L2", steps);
  }
  std::printf("each record takes part in a step with probability %.9g, independently (Poisson sampling)\n",
              event.sampling_rate);
  std::printf("neighbours differ by one record that is added or removed\n");
  std::printf("epsilon %.9g at delta %.9g: %s\n", epsilon, request.delta,
              accountant->explain(request.delta).c_str());
  std::printf("%s\n", answer.c_str());
  return 0;
}

}  // namespace gossamer

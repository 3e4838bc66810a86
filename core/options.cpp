#include "core/options.h"
#include "core/checksum.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <numeric>
#include <stdexcept>

#include "core/error.h"
#include "core/ini.h"
#include "core/text.h"

namespace gossamer {
namespace {

// Keys that say where and how a run happens, not what it trains: peers may differ in them.
constexpr std::array<std::string_view, 22> kLocalKeys{"run.out",
                                                      "run.name",
                                                      "run.threads",
                                                      "run.device",
                                                      "run.client_state_mb",
                                                      "run.overwrite",
                                                      "run.resume",
                                                      "run.rounds",
                                                      "run.eval_every",
                                                      "run.target_accuracy",
                                                      "client.id",
                                                      "client.listen",
                                                      "client.state_dir",
                                                      "server.id",
                                                      "server.listen",
                                                      "server.connect",
                                                      "server.shards",
                                                      "server.checkpoint_every",
                                                      "server.client_timeout_s",
                                                      "data.path",
                                                      "client.server_timeout_s",
                                                      "devices.speed"};
constexpr std::array<std::string_view, 3> kLocalSections{"security.", "network.", "train."};

bool is_local(std::string_view key) {
  return std::ranges::find(kLocalKeys, key) != kLocalKeys.end() ||
         std::ranges::any_of(kLocalSections, [&](std::string_view s) { return key.starts_with(s); });
}

template <class T>
std::optional<T> parse(std::string_view text) {
  T value{};
  const auto [end, status] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (status != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return value;
}

std::optional<bool> parse_flag(std::string_view text) {
  if (text == "true" || text == "on" || text == "yes" || text == "1") return true;
  if (text == "false" || text == "off" || text == "no" || text == "0") return false;
  return std::nullopt;
}

std::string range_of(const OptionSpec& spec) {
  std::string range = spec.kind == OptionKind::integer ? "an integer" : "a number";
  if (std::isfinite(spec.minimum)) {
    range += (spec.minimum_excluded ? " above " : " of at least ") + shortest(spec.minimum);
  }
  if (std::isfinite(spec.maximum)) {
    range += (std::isfinite(spec.minimum) ? " and at most " : " of at most ") + shortest(spec.maximum);
  }
  return spec.may_be_infinite ? range + ", or inf" : range;
}

[[noreturn]] void refuse(const OptionSpec& spec, std::string_view value, const std::string& accepted) {
  throw ConfigError(spec.key + " = " + std::string(value) + ": expected " + accepted);
}

void check_range(const OptionSpec& spec, std::string_view value, double number) {
  const bool low = spec.minimum_excluded ? number <= spec.minimum : number < spec.minimum;
  const bool usable = std::isfinite(number) || (spec.may_be_infinite && number > 0);
  if (low || number > spec.maximum || !usable) refuse(spec, value, range_of(spec));
}

// The canonical text of a value, so that equal configurations have equal digests and INI files.
std::string canonical(const OptionSpec& spec, std::string_view value) {
  switch (spec.kind) {
    case OptionKind::integer: {
      const auto number = parse<std::int64_t>(value);
      if (!number) refuse(spec, value, range_of(spec));
      check_range(spec, value, static_cast<double>(*number));
      return std::to_string(*number);
    }
    case OptionKind::real: {
      const auto number = parse<double>(value);
      if (!number) refuse(spec, value, range_of(spec));
      check_range(spec, value, *number);
      return shortest(*number);
    }
    case OptionKind::flag: {
      const auto flag = parse_flag(value);
      if (!flag) refuse(spec, value, "true or false");
      return *flag ? "true" : "false";
    }
    case OptionKind::text:
      break;
  }
  if (!spec.choices.empty() && std::ranges::find(spec.choices, value) == spec.choices.end()) {
    refuse(spec, value,
           "one of " + joined(spec.choices) + " (nearest: " + nearest_word(value, spec.choices) + ")");
  }
  return std::string(value);
}

OptionSpec option(std::string key, OptionKind kind, std::string default_value, std::string help) {
  OptionSpec spec;
  spec.key = std::move(key);
  spec.kind = kind;
  spec.default_value = std::move(default_value);
  spec.help = std::move(help);
  return spec;
}

}  // namespace

OptionSpec OptionSpec::at_least(double bound) && {
  minimum = bound;
  return std::move(*this);
}
OptionSpec OptionSpec::above(double bound) && {
  minimum = bound;
  minimum_excluded = true;
  return std::move(*this);
}
OptionSpec OptionSpec::at_most(double bound) && {
  maximum = bound;
  return std::move(*this);
}
OptionSpec OptionSpec::or_infinite() && {
  may_be_infinite = true;
  return std::move(*this);
}
OptionSpec OptionSpec::one_of(std::vector<std::string> values) && {
  choices = std::move(values);
  return std::move(*this);
}

OptionSpec text_option(std::string key, std::string default_value, std::string help) {
  return option(std::move(key), OptionKind::text, std::move(default_value), std::move(help));
}
OptionSpec integer_option(std::string key, std::int64_t default_value, std::string help) {
  return option(std::move(key), OptionKind::integer, std::to_string(default_value), std::move(help));
}
OptionSpec real_option(std::string key, double default_value, std::string help) {
  return option(std::move(key), OptionKind::real, shortest(default_value), std::move(help));
}
OptionSpec flag_option(std::string key, bool default_value, std::string help) {
  return option(std::move(key), OptionKind::flag, default_value ? "true" : "false", std::move(help));
}

std::string nearest_word(std::string_view word, const std::vector<std::string>& known) {
  std::string best;
  std::size_t best_distance = std::string::npos;
  for (const std::string& candidate : known) {
    std::vector<std::size_t> row(candidate.size() + 1);
    std::iota(row.begin(), row.end(), std::size_t{0});
    for (std::size_t i = 1; i <= word.size(); ++i) {
      std::size_t diagonal = row[0];
      row[0] = i;
      for (std::size_t j = 1; j <= candidate.size(); ++j) {
        const std::size_t substituted = diagonal + (word[i - 1] == candidate[j - 1] ? 0 : 1);
        diagonal = row[j];
        row[j] = std::min({row[j] + 1, row[j - 1] + 1, substituted});
      }
    }
    if (row.back() < best_distance) {
      best_distance = row.back();
      best = candidate;
    }
  }
  return best;
}

void OptionSchema::add(OptionSpec spec) {
  const auto [at, is_new] = index_.emplace(spec.key, specs_.size());
  if (!is_new) {
    OptionSpec& first = specs_[at->second];
    const bool shared = !spec.method.empty() && spec.method == first.method &&
                        std::ranges::find(first.choosers, spec.choosers.front()) == first.choosers.end();
    if (!shared) throw std::logic_error("option " + spec.key + " is declared twice");
    first.choosers.push_back(spec.choosers.front());
    return;
  }
  specs_.push_back(std::move(spec));
}

const OptionSpec* OptionSchema::find(std::string_view key) const {
  const auto found = index_.find(key);
  return found == index_.end() ? nullptr : &specs_[found->second];
}

const std::string& OptionSchema::nearest(std::string_view key) const {
  std::vector<std::string> keys;
  for (const OptionSpec& spec : specs_) keys.push_back(spec.key);
  return find(nearest_word(key, keys))->key;
}

Options::Options(std::shared_ptr<const OptionSchema> schema) : schema_(std::move(schema)) {
  for (const OptionSpec& spec : schema_->specs()) values_.push_back({spec.default_value, false});
}

void Options::set(std::string_view key, std::string_view value) {
  const OptionSpec* spec = schema_->find(key);
  if (spec == nullptr) {
    throw ConfigError(std::string(key) + " = " + std::string(value) +
                      ": unknown key; the nearest known one is " + schema_->nearest(key));
  }
  values_[static_cast<std::size_t>(spec - schema_->specs().data())] = {canonical(*spec, value), true};
}

void Options::preset(std::string_view key, std::string_view value, std::string_view reason) {
  const std::string before = raw(key);
  const bool was_given = given(key);
  set(key, value);
  if (was_given && before != raw(key)) {
    throw ConfigError(std::string(key) + " = " + before + ": " + std::string(reason) + " means " +
                      std::string(key) + " = " + raw(key));
  }
}

void Options::set_default(std::string_view key, std::string_view value) {
  if (given(key)) return;
  set(key, value);
  values_[static_cast<std::size_t>(schema_->find(key) - schema_->specs().data())].given = false;
}

void Options::check_methods() const {
  for (std::size_t i = 0; i < values_.size(); ++i) {
    const OptionSpec& spec = schema_->specs()[i];
    if (values_[i].given && !applies(spec)) {
      std::string wanted, found;
      for (const std::string& chooser : spec.choosers) {
        wanted += (wanted.empty() ? "" : " or ") + chooser + " = " + spec.method;
        found += (found.empty() ? "" : " and ") + chooser + " = " + raw(chooser);
      }
      throw ConfigError(spec.key + " = " + values_[i].text + ": only used with " + wanted + ", but " + found);
    }
  }
}

const std::string& Options::text(std::string_view key) const {
  spec_of(key, OptionKind::text);
  return raw(key);
}
std::int64_t Options::integer(std::string_view key) const {
  spec_of(key, OptionKind::integer);
  return *parse<std::int64_t>(raw(key));
}
double Options::real(std::string_view key) const {
  spec_of(key, OptionKind::real);
  return *parse<double>(raw(key));
}
bool Options::flag(std::string_view key) const {
  spec_of(key, OptionKind::flag);
  return raw(key) == "true";
}
bool Options::given(std::string_view key) const {
  const OptionSpec* spec = schema_->find(key);
  if (spec == nullptr) throw std::logic_error("no option " + std::string(key));
  return values_[static_cast<std::size_t>(spec - schema_->specs().data())].given;
}

std::string Options::to_ini() const {
  std::map<std::string, std::string> sections;
  std::vector<std::string> order;
  for (std::size_t i = 0; i < values_.size(); ++i) {
    const OptionSpec& spec = schema_->specs()[i];
    if (!applies(spec)) continue;
    const std::string section = spec.key.substr(0, spec.key.find('.'));
    if (!sections.contains(section)) order.push_back(section);
    sections[section] += spec.key.substr(section.size() + 1) + " = " + ini_value(values_[i].text) + '\n';
  }
  std::string ini;
  for (const std::string& section : order) ini += '[' + section + "]\n" + sections[section] + '\n';
  return ini;
}

std::uint64_t Options::digest() const {
  std::string described;
  for (std::size_t i = 0; i < values_.size(); ++i) {
    const OptionSpec& spec = schema_->specs()[i];
    if (!is_local(spec.key) && applies(spec)) described += spec.key + '=' + values_[i].text + '\n';
  }
  return checksum_of(described);
}

const OptionSpec& Options::spec_of(std::string_view key, OptionKind kind) const {
  const OptionSpec* spec = schema_->find(key);
  if (spec == nullptr || spec->kind != kind)
    throw std::logic_error("no option " + std::string(key) + " of that type");
  return *spec;
}

const std::string& Options::raw(std::string_view key) const {
  const OptionSpec* spec = schema_->find(key);
  if (spec == nullptr) throw std::logic_error("no option " + std::string(key));
  return values_[static_cast<std::size_t>(spec - schema_->specs().data())].text;
}

bool Options::applies(const OptionSpec& spec) const {
  return spec.choosers.empty() || std::ranges::any_of(spec.choosers, [&](const std::string& chooser) {
           return raw(chooser) == spec.method;
         });
}

}  // namespace gossamer

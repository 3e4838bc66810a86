#pragma once

#include <cstdint>
#include <limits>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace gossamer {

enum class OptionKind { text, integer, real, flag };

// One key of the configuration. Built by the functions below, which read like the reference page:
//   real_option("client.lr", 0.1, "learning rate").above(0)
struct OptionSpec {
  std::string key;
  OptionKind kind = OptionKind::text;
  std::string default_value;
  std::string help;
  double minimum = -std::numeric_limits<double>::infinity();
  double maximum = std::numeric_limits<double>::infinity();
  bool minimum_excluded = false;
  bool infinite = false;             // inf is a value
  std::vector<std::string> choices;  // empty: any text
  // A key of one method is only accepted when one of the choosers (say "algorithm.name") has the value
  // `method`.
  std::vector<std::string> choosers;
  std::string method;

  OptionSpec at_least(double bound) &&;
  OptionSpec above(double bound) &&;
  OptionSpec at_most(double bound) &&;
  OptionSpec or_infinite() &&;
  OptionSpec one_of(std::vector<std::string> values) &&;
};

OptionSpec text_option(std::string key, std::string default_value, std::string help);
OptionSpec integer_option(std::string key, std::int64_t default_value, std::string help);
OptionSpec real_option(std::string key, double default_value, std::string help);
OptionSpec flag_option(std::string key, bool default_value, std::string help);

// Every key that exists, in the order of the reference page.
class OptionSchema {
 public:
  // A key of a method that another chooser offers too is added once for each.
  void add(OptionSpec spec);
  const OptionSpec* find(std::string_view key) const;
  // The known key with the smallest edit distance, for "did you mean".
  const std::string& nearest(std::string_view key) const;
  const std::vector<OptionSpec>& specs() const noexcept { return specs_; }

 private:
  std::vector<OptionSpec> specs_;
  std::map<std::string, std::size_t, std::less<>> index_;
};

// A configuration: a value for every key of the schema, given or default. Reading it is type-checked at
// set(), so the getters cannot fail on a user's input; a getter of the wrong type or of an unknown key is a
// fault of the program (std::logic_error). Copyable; not thread-safe while being set.
class Options {
 public:
  explicit Options(std::shared_ptr<const OptionSchema> schema);

  // Throws ConfigError on an unknown key, a value of the wrong type, out of range or not among the choices.
  void set(std::string_view key, std::string_view value);
  // Like set() for a preset (an algorithm that fixes other keys). Throws ConfigError where the user gave the
  // key a different value; `reason` says who asks.
  void preset(std::string_view key, std::string_view value, std::string_view reason);
  // Gives a key that the user left alone a better default (one that depends on other keys).
  void set_default(std::string_view key, std::string_view value);
  // Throws ConfigError where a key of a method was given and that method is not the chosen one.
  void check_methods() const;

  const std::string& text(std::string_view key) const;
  std::int64_t integer(std::string_view key) const;
  double real(std::string_view key) const;
  bool flag(std::string_view key) const;
  bool given(std::string_view key) const;
  // The value as text, whatever its type: for messages.
  const std::string& raw(std::string_view key) const;

  // The resolved configuration as INI: every key that applies to the chosen methods. Reading it back gives
  // the same configuration.
  std::string to_ini() const;
  // Equal for two configurations that must train the same model: all keys but those that say
  // where and how long a run happens (run.out, run.threads, client.id, server.listen, ... : see options.cpp).
  std::uint64_t digest() const;
  const OptionSchema& schema() const noexcept { return *schema_; }

 private:
  struct Value {
    std::string text;
    bool given = false;
  };
  const OptionSpec& spec_of(std::string_view key, OptionKind kind) const;
  bool applies(const OptionSpec& spec) const;

  std::shared_ptr<const OptionSchema> schema_;
  std::vector<Value> values_;  // parallel to schema_->specs()
};

// The closest of `known` to `word` by edit distance; empty if there is none.
std::string nearest_word(std::string_view word, const std::vector<std::string>& known);

}  // namespace gossamer

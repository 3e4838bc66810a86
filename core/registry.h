#pragma once

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "core/error.h"
#include "core/options.h"

namespace gossamer {

// What `gossamer list` and docs/reference.md say of one method.
struct MethodInfo {
  std::string name;                 // the paper's name, snake_case
  std::string help;                 // one line
  std::string paper;                // authors, title, year; empty for what needs no citation
  std::vector<OptionSpec> options;  // its own keys: <section>.<name>.<key>
};

// One registry as data: what it chooses between and the key that chooses.
struct MethodGroup {
  std::string kind;     // plural, as `gossamer list KIND` takes it: "models"
  std::string chooser;  // "model.name"
  std::string default_name;
  std::string help;
  std::vector<MethodInfo> methods;
};

// An explicit table from names to factories. One method is one file and one line here. Immutable.
template <class Interface, class... Context>
class Registry {
 public:
  using Factory = std::function<std::unique_ptr<Interface>(const Options&, Context...)>;
  struct Entry {
    MethodInfo info;
    Factory make;
  };

  Registry(std::string kind, std::string chooser, std::string default_name, std::string help,
           std::vector<Entry> entries)
      : kind_(std::move(kind)),
        chooser_(std::move(chooser)),
        default_name_(std::move(default_name)),
        help_(std::move(help)),
        entries_(std::move(entries)) {}

  // Makes the method that the options choose.
  std::unique_ptr<Interface> make(const Options& options, Context... context) const {
    const std::string& name = options.text(chooser_);
    for (const Entry& entry : entries_) {
      if (entry.info.name == name) return entry.make(options, std::forward<Context>(context)...);
    }
    throw ConfigError(chooser_ + " = " + name + ": no such method");
  }

  std::vector<std::string> names() const {
    std::vector<std::string> names;
    for (const Entry& entry : entries_) names.push_back(entry.info.name);
    return names;
  }

  MethodGroup describe() const {
    MethodGroup group{kind_, chooser_, default_name_, help_, {}};
    for (const Entry& entry : entries_) group.methods.push_back(entry.info);
    return group;
  }

 private:
  std::string kind_;
  std::string chooser_;
  std::string default_name_;
  std::string help_;
  std::vector<Entry> entries_;
};

// Adds the key that chooses between the group's methods, and every method's own keys, to the schema. Where
// only the method `owner_method` of `owner_chooser` has that choice, the key is one of its own.
void add_methods(OptionSchema& schema, const MethodGroup& group, const std::string& owner_chooser = {},
                 const std::string& owner_method = {});

}  // namespace gossamer

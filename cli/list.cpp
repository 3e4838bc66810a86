#include "cli/list.h"

#include <algorithm>
#include <cctype>
#include <cmath>
#include <iostream>

#include "cli/combinations.h"
#include "core/error.h"
#include "core/files.h"
#include "core/text.h"

namespace gossamer {
namespace {

constexpr std::string_view kBegin = "<!-- keys -->\n";
constexpr std::string_view kEnd = "<!-- end of keys -->\n";

// The groups of one kind as one: what chooses between them, and each method once.
struct Kind {
  std::string name;
  std::string help;
  std::vector<std::string> choosers;
  std::vector<std::string> defaults;
  std::vector<MethodInfo> methods;
};

std::vector<Kind> kinds_of(const std::vector<MethodGroup>& groups) {
  std::vector<Kind> kinds;
  for (const MethodGroup& group : groups) {
    auto kind = std::ranges::find(kinds, group.kind, &Kind::name);
    if (kind == kinds.end()) kind = kinds.insert(kinds.end(), {group.kind, group.help, {}, {}, {}});
    kind->choosers.push_back(group.chooser);
    kind->defaults.push_back(group.default_name);
    for (const MethodInfo& method : group.methods) {
      if (std::ranges::find(kind->methods, method.name, &MethodInfo::name) == kind->methods.end()) {
        kind->methods.push_back(method);
      }
    }
  }
  return kinds;
}

std::string accepted(const OptionSpec& spec) {
  if (!spec.choices.empty()) return joined(spec.choices);
  std::string range;
  if (std::isfinite(spec.minimum)) range = (spec.minimum_excluded ? "> " : ">= ") + shortest(spec.minimum);
  if (std::isfinite(spec.maximum)) range += (range.empty() ? "<= " : ", <= ") + shortest(spec.maximum);
  switch (spec.kind) {
    case OptionKind::text:
      return "text";
    case OptionKind::flag:
      return "true, false";
    case OptionKind::integer:
      return "integer" + (range.empty() ? "" : " " + range);
    case OptionKind::real:
      return "number" + (range.empty() ? "" : " " + range);
  }
  return {};
}

// A cell of a Markdown table: a bar would end it.
std::string cell(const std::string& text) {
  std::string escaped;
  for (const char c : text) {
    if (c == '|') escaped += '\\';
    escaped += c;
  }
  return escaped;
}

std::string code(const std::string& text) { return text.empty() ? std::string() : '`' + cell(text) + '`'; }

std::string row(const std::vector<std::string>& cells) { return "| " + joined(cells, " | ") + " |\n"; }

std::string section_of(const OptionSpec& spec) { return spec.key.substr(0, spec.key.find('.')); }

std::string key_tables(const OptionSchema& schema) {
  std::vector<std::string> sections;
  for (const OptionSpec& spec : schema.specs()) {
    if (std::ranges::find(sections, section_of(spec)) == sections.end()) sections.push_back(section_of(spec));
  }
  std::string text;
  for (const std::string& section : sections) {
    text += "### [" + section + "]\n\n" + row({"key", "default", "accepted", "meaning"}) +
            "| --- | --- | --- | --- |\n";
    for (const OptionSpec& spec : schema.specs()) {
      if (section_of(spec) != section) continue;
      std::string meaning = cell(spec.help);
      for (std::size_t i = 0; i < spec.choosers.size(); ++i) {
        meaning += (i > 0             ? " or "
                    : meaning.empty() ? "only with "
                                      : "; only with ") +
                   code(spec.choosers[i] + " = " + spec.method);
      }
      text += row({code(spec.key), code(spec.default_value), cell(accepted(spec)), meaning});
    }
    text += '\n';
  }
  return text;
}

std::string method_tables(const std::vector<MethodGroup>& groups) {
  std::string text;
  for (const Kind& kind : kinds_of(groups)) {
    std::string title = kind.name;
    if (!title.empty())
      title.front() = static_cast<char>(std::toupper(static_cast<unsigned char>(title.front())));
    text += "### " + title + "\n\nChosen by ";
    for (std::size_t i = 0; i < kind.choosers.size(); ++i) {
      text += (i == 0 ? "" : " and ") + code(kind.choosers[i]) + " (default " + code(kind.defaults[i]) + ")";
    }
    text += ".\n\n" + row({"name", "what it is", "paper"}) + "| --- | --- | --- |\n";
    for (const MethodInfo& method : kind.methods) {
      text += row({code(method.name), cell(method.help), cell(method.paper)});
    }
    text += '\n';
  }
  return text;
}

}  // namespace

std::string list_methods(const std::vector<MethodGroup>& groups, std::string_view kind) {
  const std::vector<Kind> kinds = kinds_of(groups);
  std::vector<std::string> names;
  std::size_t name_width = 0;
  std::size_t help_width = 0;
  for (const Kind& k : kinds) {
    names.push_back(k.name);
    for (const MethodInfo& method : k.methods) {
      name_width = std::max(name_width, method.name.size());
      if (!method.paper.empty()) help_width = std::max(help_width, method.help.size());
    }
  }
  if (!kind.empty() && std::ranges::find(names, kind) == names.end()) {
    throw ConfigError("list " + std::string(kind) + ": no such kind; the nearest is " +
                      nearest_word(kind, names) + " (kinds: " + joined(names) + ")");
  }
  std::string text;
  for (const Kind& k : kinds) {
    if (!kind.empty() && k.name != kind) continue;
    text += (text.empty() ? "" : "\n") + k.name + " (" + joined(k.choosers) + ")\n";
    for (const MethodInfo& method : k.methods) {
      std::string line = "  " + padded(method.name, name_width + 2);
      line += method.paper.empty() ? method.help : padded(method.help, help_width + 2) + method.paper;
      line.erase(line.find_last_not_of(' ') + 1);
      text += line + '\n';
    }
  }
  return text;
}

std::string reference_keys(const OptionSchema& schema, const std::vector<MethodGroup>& groups) {
  return "## Keys\n\n" + key_tables(schema) + "## Methods\n\n" + method_tables(groups);
}

std::string update_reference(std::string_view page, const OptionSchema& schema,
                             const std::vector<MethodGroup>& groups) {
  const std::size_t begin = page.find(kBegin);
  const std::size_t end = begin == std::string_view::npos ? begin : page.find(kEnd, begin + kBegin.size());
  if (end == std::string_view::npos) {
    throw FileError(
        "the page has no lines <!-- keys --> and <!-- end of keys --> to write the tables between");
  }
  std::string updated(page.substr(0, begin + kBegin.size()));
  updated += '\n' + reference_keys(schema, groups);
  updated += page.substr(end);
  return updated;
}

int list_command(const CommandLine& line, const std::vector<MethodGroup>& groups) {
  if (const auto page = line.extra.find("reference"); page != line.extra.end()) {
    write_atomically(page->second, update_reference(read_text(page->second), line.options.schema(), groups));
    return 0;
  }
  if (const auto page = line.extra.find("combinations"); page != line.extra.end()) {
    write_atomically(page->second, combinations_page(groups));
    return 0;
  }
  std::cout << list_methods(groups, line.positional.empty() ? std::string() : line.positional.front());
  return 0;
}

}  // namespace gossamer

#include "core/ini.h"

#include <algorithm>

#include "core/error.h"

namespace gossamer {
namespace {

constexpr std::string_view kSpace = " \t\r\f\v";

std::string_view trim(std::string_view text) {
  const std::size_t begin = text.find_first_not_of(kSpace);
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(kSpace) - begin + 1);
}

bool is_comment(char c) { return c == '#' || c == ';'; }

// Cuts a comment off, but none that begins inside quotes or inside a word (tcp://host/#1).
std::string_view without_comment(std::string_view line) {
  bool quoted = false;
  for (std::size_t i = 0; i < line.size(); ++i) {
    if (line[i] == '"') quoted = !quoted;
    const bool at_word_start = i == 0 || kSpace.find(line[i - 1]) != std::string_view::npos;
    if (!quoted && at_word_start && is_comment(line[i])) return line.substr(0, i);
  }
  return line;
}

bool is_name(std::string_view text) {
  return !text.empty() && std::ranges::all_of(text, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '.' || c == '-';
  });
}

bool is_quoted(std::string_view value) {
  return value.size() >= 2 && value.front() == '"' && value.back() == '"';
}

std::string unquoted(std::string_view value) {
  if (!is_quoted(value)) return std::string(value);
  value = value.substr(1, value.size() - 2);
  std::string plain;
  for (std::size_t i = 0; i < value.size(); ++i) {
    plain += value[i];
    if (value.substr(i, 2) == "\"\"") ++i;
  }
  return plain;
}

[[noreturn]] void refuse(const std::string& name, std::size_t line, const std::string& reason) {
  throw ConfigError(name + ":" + std::to_string(line) + ": " + reason);
}

}  // namespace

std::vector<IniEntry> parse_ini(std::string_view text, const std::string& name) {
  constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";
  if (text.starts_with(kByteOrderMark)) text.remove_prefix(kByteOrderMark.size());

  std::vector<IniEntry> entries;
  std::string section;
  for (std::size_t number = 1; !text.empty(); ++number) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    const std::string_view line = trim(without_comment(text.substr(0, end)));
    text.remove_prefix(std::min(end + 1, text.size()));
    if (line.empty()) continue;
    if (line.front() == '[') {
      const std::string_view inside = trim(line.substr(1, line.size() - 2));
      if (line.back() != ']' || !is_name(inside)) {
        refuse(name, number, std::string(line) + ": expected a section like [client]");
      }
      section = inside;
      continue;
    }
    const std::size_t equals = line.find('=');
    const std::string_view key = trim(line.substr(0, equals));
    if (equals == std::string_view::npos || !is_name(key)) {
      refuse(name, number, std::string(line) + ": expected key = value, or a section like [client]");
    }
    std::string value = unquoted(trim(line.substr(equals + 1)));
    std::string full = section.empty() ? std::string(key) : section + "." + std::string(key);
    const auto first = std::ranges::find(entries, full, &IniEntry::key);
    if (first != entries.end()) {
      refuse(name, number,
             full + " = " + value + ": the key stands already in line " + std::to_string(first->line));
    }
    entries.push_back({std::move(full), std::move(value), number});
  }
  return entries;
}

std::string ini_value(std::string_view value) {
  // As it stands after "key = ": a # or ; at its start follows a space.
  const std::string line = ' ' + std::string(value);
  if (!is_quoted(value) && trim(value) == value && without_comment(line) == line) return std::string(value);
  // A doubled quote leaves the parser inside the quotes, so nothing within begins a comment.
  std::string quoted = "\"";
  for (const char c : value) quoted.append(c == '"' ? 2 : 1, c);
  return quoted + '"';
}

}  // namespace gossamer

#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "cli/command_line.h"
#include "core/registry.h"

namespace gossamer {

// `gossamer list [KIND]`: every method of every group, or of the groups of that kind: name, one line of help,
// paper. Groups of one kind (the compressors up and down) are listed once. Throws ConfigError, with the
// nearest kind, on an unknown one.
std::string list_methods(const std::vector<MethodGroup>& groups, std::string_view kind = {});

// The tables of docs/reference.md, in Markdown: the keys of each section with default, accepted values and
// meaning, then the methods of each kind with their papers.
std::string reference_keys(const OptionSchema& schema, const std::vector<MethodGroup>& groups);

// The page with reference_keys() between its two marker lines, `<!-- keys -->` and `<!-- end of keys -->`.
// Throws FileError where the page lacks them.
std::string update_reference(std::string_view page, const OptionSchema& schema,
                             const std::vector<MethodGroup>& groups);

// The command: prints list_methods(), or with --reference FILE brings that page's tables up to date.
int list_command(const CommandLine& line, const std::vector<MethodGroup>& groups);

}  // namespace gossamer

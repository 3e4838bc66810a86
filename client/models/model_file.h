#pragma once

#include <string>

#include "core/model.h"

namespace gossamer {

// Writes the tensors as a file that Python's torch.load() reads as a state_dict. An existing file is replaced
// as a whole or, on failure, left alone. Throws RunError.
void save_state_dict(const std::string& path, const NamedTensors& state);

// Copies the tensors of such a file, or of a state_dict saved by Python, into `state`. Throws FileError for a
// file that is missing or corrupt, or whose tensors differ in name, shape or type; nothing is then copied.
void load_state_dict(const std::string& path, const NamedTensors& state);

// Copies `found` into `state`, as load_state_dict() does.
void copy_state(const std::string& path, const NamedTensors& found, const NamedTensors& state);

// Writes `bytes` to a temporary file beside `path` and renames it. Throws RunError with the system's reason.
void replace_file(const std::string& path, const std::string& bytes);
// The whole file. Throws FileError where it is missing or cannot be read.
std::string read_file(const std::string& path);

}  // namespace gossamer

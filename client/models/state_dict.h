#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace gossamer {

// The pickle inside a file of torch.save(state_dict): which tensors there are and where their elements lie.
// Written here, not by libtorch, whose own pickler marks a dictionary with a type that torch.load() refuses
// by default since 2.6, and whose unpickler cannot read what Python writes. Free of torch, so that the reader
// can be fuzzed alone.
struct PickledTensor {
  std::string name;
  std::string storage_type;  // "FloatStorage", "LongStorage", ...
  std::string record;        // the storage is the archive's record data/<record>
  std::int64_t storage_elements = 0;
  std::int64_t offset = 0;  // all in elements
  std::vector<std::int64_t> sizes;
  std::vector<std::int64_t> strides;

  bool operator==(const PickledTensor&) const = default;
};

// The record data.pkl for a plain dictionary of these tensors, in order.
std::string pickle_state_dict(const std::vector<PickledTensor>& tensors);

// Reads a record data.pkl: a dict or OrderedDict from names to tensors, as torch.save() writes it. Nothing is
// imported or called: any other content throws std::runtime_error with one line. Every tensor returned lies
// inside its storage, has no more elements than it, and sizes and strides of equal length.
std::vector<PickledTensor> unpickle_state_dict(std::span<const std::byte> pickle);

}  // namespace gossamer

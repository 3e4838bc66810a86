// Whatever the bytes are, the table of a saved model is read, with every tensor inside its storage, or
// refused with std::runtime_error; and what was read can be written and read again.
#include <cstdint>
#include <cstdlib>
#include <span>
#include <stdexcept>

#include "client/models/state_dict.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::vector<gossamer::PickledTensor> tensors;
  try {
    tensors = gossamer::unpickle_state_dict(std::as_bytes(std::span(data, size)));
  } catch (const std::runtime_error&) {
    return 0;
  }
  for (const gossamer::PickledTensor& tensor : tensors) {
    std::int64_t elements = 1;
    for (const std::int64_t extent : tensor.sizes) elements *= extent;
    if (elements > tensor.storage_elements) std::abort();
  }
  const std::string pickle = gossamer::pickle_state_dict(tensors);
  if (gossamer::unpickle_state_dict(std::as_bytes(std::span(pickle))) != tensors) std::abort();
  return 0;
}

#include "comms/transport.h"

namespace gossamer {

void Traffic::count(const Frame& frame) noexcept {
  switch (frame.header.type) {
    case FrameType::model:
      model_bytes += frame.wire_bytes();
      break;
    case FrameType::update:
      update_bytes += frame.wire_bytes();
      break;
    default:
      control_bytes += frame.wire_bytes();
  }
}

}  // namespace gossamer

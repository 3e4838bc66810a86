#pragma once

#include <gtest/gtest.h>

#include "comms/frame.h"

namespace gossamer {

// What of a frame arrives at the other end of a wire.
inline Frame travel(const Frame& frame) {
  auto header = decode_header(encode_header(frame.header), frame.payload.size());
  EXPECT_TRUE(header.ok());
  auto arrived = decode_frame(header.value(), frame.payload);
  EXPECT_TRUE(arrived.ok());
  return std::move(arrived).value();
}

}  // namespace gossamer

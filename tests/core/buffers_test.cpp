#include "core/buffers.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>

namespace gossamer {
namespace {

TEST(Buffers, AreAlignedWhateverTheirLength) {
  std::vector<FloatBuffer> buffers;
  for (std::size_t length = 1; length < 300; ++length) {
    FloatBuffer& buffer = buffers.emplace_back(length);
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(buffer.data()) % 64, 0U) << length;
    std::ranges::fill(buffer, static_cast<float>(length));
  }
  for (const FloatBuffer& buffer : buffers) {
    EXPECT_EQ(std::ranges::count(buffer, static_cast<float>(buffer.size())), std::ssize(buffer));
  }
}

}  // namespace
}  // namespace gossamer

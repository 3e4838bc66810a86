#include "core/tuning.h"

#include <gtest/gtest.h>

#ifdef __GLIBC__
#include <malloc.h>

#include <cstdlib>
#include <memory>

namespace gossamer {
namespace {

TEST(Tuning, LargeBlocksComeFromTheHeap) {
  tune_allocator();
  const auto mapped = mallinfo2().hblks;
  const std::unique_ptr<void, decltype(&std::free)> block(std::malloc(24 << 20), &std::free);
  EXPECT_NE(block.get(), nullptr);
  EXPECT_EQ(mallinfo2().hblks, mapped);
}

}  // namespace
}  // namespace gossamer
#endif

// docs/reference.md says what the program says.
#include <gtest/gtest.h>

#include "cli/configuration.h"
#include "cli/list.h"
#include "core/files.h"

namespace gossamer {
namespace {

TEST(Reference, TablesOfKeysAndMethodsAreUpToDate) {
  const std::string page = read_text(GOSSAMER_SOURCE_DIR "/docs/reference.md");
  EXPECT_EQ(page, update_reference(page, *full_schema(), all_methods()))
      << "write them anew with: gossamer list --reference docs/reference.md";
}

TEST(Reference, CombinationsAreUpToDate) {
  EXPECT_EQ(read_text(GOSSAMER_SOURCE_DIR "/docs/combinations.md"), combinations_page(all_methods()))
      << "write them anew with: gossamer list --combinations docs/combinations.md";
}

}  // namespace
}  // namespace gossamer

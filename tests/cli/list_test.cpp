#include "cli/list.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "core/error.h"
#include "core/files.h"

namespace gossamer {
namespace {

using ::testing::HasSubstr;

std::vector<MethodGroup> make_groups() {
  std::vector<MethodInfo> compressors{
      {"none", "floats as they are", "", {}},
      {"top_k",
       "the largest entries",
       "Aji, Heafield: Sparse communication, 2017",
       {real_option("compression.top_k.keep", 0.01, "share kept").above(0).at_most(1)}}};
  return {{"models", "model.name", "mlp", "what is trained", {{"mlp", "two hidden layers", "", {}}}},
          {"compressors", "compression.up", "none", "how updates travel", compressors},
          {"compressors", "compression.down", "none", "how models travel", {compressors.front()}}};
}

OptionSchema listed_schema() {
  OptionSchema schema;
  schema.add(integer_option("run.rounds", 20, "how many rounds").at_least(1));
  schema.add(flag_option("run.overwrite", false, "a|b"));
  schema.add(text_option("run.out", "", "folder"));
  add_methods(schema, make_groups()[0]);
  add_methods(schema, make_groups()[1]);
  return schema;
}

TEST(List, ShowsEveryKindOnceAndAligned) {
  EXPECT_EQ(list_methods(make_groups()),
            "models (model.name)\n"
            "  mlp    two hidden layers\n"
            "\n"
            "compressors (compression.up, compression.down)\n"
            "  none   floats as they are\n"
            "  top_k  the largest entries  Aji, Heafield: Sparse communication, 2017\n");
}

TEST(List, ShowsOneKind) {
  EXPECT_EQ(list_methods(make_groups(), "models"), "models (model.name)\n  mlp    two hidden layers\n");
}

TEST(List, AnUnknownKindIsRefusedWithTheNearest) {
  try {
    list_methods(make_groups(), "model");
    FAIL() << "an unknown kind was listed";
  } catch (const ConfigError& e) {
    EXPECT_STREQ(e.what(), "list model: no such kind; the nearest is models (kinds: models, compressors)");
  }
}

TEST(Reference, SaysDefaultRangeAndMeaningOfEveryKey) {
  const std::string page = reference_keys(listed_schema(), make_groups());
  EXPECT_THAT(page, HasSubstr("### [run]\n\n| key | default | accepted | meaning |\n| --- |"));
  EXPECT_THAT(page, HasSubstr("| `run.rounds` | `20` | integer >= 1 | how many rounds |\n"));
  EXPECT_THAT(page, HasSubstr("| `run.overwrite` | `false` | true, false | a\\|b |\n"));
  EXPECT_THAT(page, HasSubstr("| `run.out` |  | text | folder |\n"));
  EXPECT_THAT(page, HasSubstr("| `compression.up` | `none` | none, top_k | how updates travel |\n"));
  EXPECT_THAT(page,
              HasSubstr("| `compression.top_k.keep` | `0.01` | number > 0, <= 1 | share kept; only with "
                        "`compression.up = top_k` |\n"));
  EXPECT_THAT(page, HasSubstr("Chosen by `compression.up` (default `none`) and `compression.down`"));
  EXPECT_THAT(page,
              HasSubstr("| `top_k` | the largest entries | Aji, Heafield: Sparse communication, 2017 |\n"));
}

TEST(Reference, IsWrittenBetweenTheMarkersAndIsThenUpToDate) {
  const std::string before = "# Title\n<!-- keys -->\nout of date\n<!-- end of keys -->\ntail\n";
  const std::string after = update_reference(before, listed_schema(), make_groups());
  EXPECT_TRUE(after.starts_with("# Title\n<!-- keys -->\n"));
  EXPECT_TRUE(after.ends_with("<!-- end of keys -->\ntail\n"));
  EXPECT_THAT(after, ::testing::Not(HasSubstr("out of date")));
  EXPECT_EQ(update_reference(after, listed_schema(), make_groups()), after);
  EXPECT_THROW(update_reference("# Title\n<!-- keys -->\n", listed_schema(), make_groups()), FileError);
}

TEST(Reference, TheCommandBringsAPageUpToDate) {
  const std::string path = ::testing::TempDir() + "gossamer_reference.md";
  write_atomically(path, "<!-- keys -->\n<!-- end of keys -->\n");
  const auto schema = std::make_shared<OptionSchema>(listed_schema());
  EXPECT_EQ(
      list_command(parse_command_line({"list", "--reference", path}, commands(), schema), make_groups()), 0);
  const std::string page = read_text(path);
  EXPECT_THAT(page, HasSubstr("| `run.rounds` | `20` |"));
  EXPECT_EQ(update_reference(page, *schema, make_groups()), page);
  std::filesystem::remove(path);
}

}  // namespace
}  // namespace gossamer

#include "core/run_folder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/error.h"
#include "core/files.h"
#include "core/ini.h"
#include "tests/core/temporary_folder.h"

namespace gossamer {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

Options make_options(const std::vector<std::pair<std::string, std::string>>& values) {
  auto schema = std::make_shared<OptionSchema>();
  schema->add(text_option("run.name", "run", ""));
  schema->add(integer_option("run.rounds", 20, ""));
  schema->add(text_option("run.out", "", ""));
  schema->add(flag_option("run.overwrite", false, ""));
  schema->add(flag_option("run.resume", false, ""));
  Options options(schema);
  for (const auto& [key, value] : values) options.set(key, value);
  return options;
}

// runs/ is made where the program was started.
class Folder : public ::testing::Test {
 protected:
  void SetUp() override { fs::current_path(folder_.path()); }
  void TearDown() override { fs::current_path(before_); }
  TemporaryFolder folder_;
  fs::path before_ = fs::current_path();
};

TEST_F(Folder, TakesTheNextFreeSuffix) {
  EXPECT_EQ(RunFolder::create(make_options({})).path(), "runs/run");
  EXPECT_EQ(RunFolder::create(make_options({})).path(), "runs/run-2");
  EXPECT_EQ(RunFolder::create(make_options({{"run.name", "other"}})).path(), "runs/other");
  EXPECT_EQ(RunFolder::create(make_options({})).path(), "runs/run-3");
  EXPECT_EQ(RunFolder::create(make_options({{"run.resume", "true"}})).path(), "runs/run-3");
}

TEST_F(Folder, ResumingWhatNeverBeganBegins) {
  EXPECT_EQ(RunFolder::create(make_options({{"run.resume", "true"}})).path(), "runs/run");
  EXPECT_TRUE(fs::exists("runs/run/config.ini"));
}

TEST_F(Folder, AGivenFolderMustBeEmpty) {
  fs::create_directory("here");
  EXPECT_EQ(RunFolder::create(make_options({{"run.out", "here"}})).path(), "here");
  EXPECT_THAT(message_of<ConfigError>([] {
                RunFolder::create(make_options({{"run.out", "here"}}));
              }),
              HasSubstr("run.out = here: the folder is not empty; expected a new one, or --run.overwrite"));
  EXPECT_EQ(RunFolder::create(make_options({{"run.out", "deep/er"}})).path(), "deep/er");
}

TEST_F(Folder, OverwritingDeletesTheEarlierRunOnly) {
  const RunFolder first = RunFolder::create(make_options({{"run.out", "here"}}));
  fs::create_directories(first.checkpoint_dir());
  for (const fs::path& path : {first.metrics(), first.summary(), first.model(), first.curve(),
                               first.checkpoint_dir() / "round-000002.ckpt", fs::path("here/notes.txt")}) {
    write_atomically(path, "old");
  }
  const RunFolder second = RunFolder::create(make_options({{"run.out", "here"}, {"run.overwrite", "true"}}));
  EXPECT_TRUE(fs::exists("here/notes.txt"));
  EXPECT_TRUE(fs::exists(second.config()));
  for (const fs::path& path : {second.metrics(), second.summary(), second.model(), second.curve()}) {
    EXPECT_FALSE(fs::exists(path)) << path;
  }
  EXPECT_TRUE(fs::is_empty(second.checkpoint_dir()));
}

TEST_F(Folder, ResumingKeepsEverything) {
  const RunFolder first = RunFolder::create(make_options({{"run.out", "here"}}));
  write_atomically(first.metrics(), "kept");
  RunFolder::create(make_options({{"run.out", "here"}, {"run.resume", "true"}, {"run.overwrite", "true"}}));
  EXPECT_EQ(read_text(first.metrics()), "kept");
}

TEST_F(Folder, ConfigSaysWhatWasTrainedAndNotWhere) {
  const RunFolder run = RunFolder::create(make_options(
      {{"run.out", "here"}, {"run.overwrite", "true"}, {"run.resume", "true"}, {"run.rounds", "7"}}));
  Options read = make_options({});
  for (const IniEntry& entry : parse_ini(read_text(run.config()), "config.ini"))
    read.set(entry.key, entry.value);
  EXPECT_EQ(read.integer("run.rounds"), 7);
  EXPECT_EQ(read.text("run.out"), "");
  EXPECT_FALSE(read.flag("run.overwrite"));
  EXPECT_FALSE(read.flag("run.resume"));
}

TEST_F(Folder, BadPlacesAreNamed) {
  write_atomically("file", "");
  EXPECT_THAT(message_of<ConfigError>([] {
                RunFolder::create(make_options({{"run.out", "file"}}));
              }),
              HasSubstr("run.out = file: that is a file; expected a folder"));
  EXPECT_THAT(message_of<ConfigError>([] {
                RunFolder::create(make_options({{"run.name", "../x"}}));
              }),
              HasSubstr("run.name = ../x"));
  EXPECT_THAT(message_of<RunError>([] {
                RunFolder::create(make_options({{"run.out", "file/x"}}));
              }),
              HasSubstr("file/x: Not a directory"));
}

TEST_F(Folder, AFolderThatCannotBeMadeIsARunError) {
  EXPECT_THAT(message_of<RunError>([] {
                RunFolder::create(make_options({{"run.out", "/proc/gossamer"}}));
              }),
              HasSubstr("cannot make the folder /proc/gossamer: "));
}

}  // namespace
}  // namespace gossamer

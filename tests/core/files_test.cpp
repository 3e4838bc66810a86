#include "core/files.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/error.h"
#include "tests/core/temporary_folder.h"

namespace gossamer {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

TEST(Files, WritesWholeAndLeavesNothingElse) {
  const TemporaryFolder folder;
  write_atomically(folder / "a", "first");
  write_atomically(folder / "a", "second, longer");
  EXPECT_EQ(read_text(folder / "a"), "second, longer");
  EXPECT_EQ(std::distance(fs::directory_iterator(folder.path()), fs::directory_iterator()), 1);
}

TEST(Files, AFullDiskLeavesWhatWasThere) {
  const TemporaryFolder folder;
  write_atomically(folder / "a", "before");
  const std::string large(10000, 'x');
  std::string reason;
  {
    const FullDisk disk(4096);
    reason = message_of<RunError>([&] { write_atomically(folder / "a", large); });
  }
  EXPECT_EQ(reason, "cannot write " + (folder / "a").string() + ": File too large");
  EXPECT_EQ(read_text(folder / "a"), "before");
  EXPECT_FALSE(fs::exists(temporary_path(folder / "a")));
}

std::span<const std::byte> raw_bytes(std::string_view text) { return std::as_bytes(std::span(text)); }

TEST(Files, AnAtomicFileIsThereOnceItIsCommitted) {
  const TemporaryFolder folder;
  {
    AtomicFile file(folder / "a");
    file.append(raw_bytes("one ___ three"));
    file.overwrite(4, raw_bytes("two"));
    EXPECT_FALSE(fs::exists(folder / "a"));
    file.commit();
  }
  EXPECT_EQ(read_text(folder / "a"), "one two three");
  { AtomicFile(folder / "a").append(raw_bytes("never committed")); }
  EXPECT_EQ(read_text(folder / "a"), "one two three");
  EXPECT_FALSE(fs::exists(temporary_path(folder / "a")));
}

TEST(Files, AnInputFileIsReadInParts) {
  const TemporaryFolder folder;
  write_atomically(folder / "a", "0123456789");
  const InputFile file(folder / "a");
  EXPECT_EQ(file.size(), 10U);
  std::string part(4, ' ');
  file.read(3, std::as_writable_bytes(std::span(part)));
  EXPECT_EQ(part, "3456");
  EXPECT_EQ(message_of<FileError>([&] { file.read(7, std::as_writable_bytes(std::span(part))); }),
            "cannot read " + (folder / "a").string() + ": it has become shorter");
  EXPECT_EQ(message_of<FileError>([&] { InputFile(folder / "none"); }),
            "cannot read " + (folder / "none").string() + ": No such file or directory");
  EXPECT_THAT(message_of<FileError>([&] { InputFile(folder.path()); }), HasSubstr("Is a directory"));
}

TEST(Files, AScratchFileHasNoName) {
  const TemporaryFolder folder;
  const fs::path path = folder / "scratch";
  write_atomically(path, "left by a process that was killed");
  ScratchFile file(path);
  EXPECT_TRUE(fs::is_empty(folder.path()));
  file.write(2, raw_bytes("abcdef"));
  file.write(4, raw_bytes("xy"));
  std::string part(5, ' ');
  file.read(3, std::as_writable_bytes(std::span(part)));
  EXPECT_EQ(part, "bxyef");
  EXPECT_EQ(message_of<RunError>([&] { file.read(5, std::as_writable_bytes(std::span(part))); }),
            "cannot read " + path.string() + ": it has become shorter");
  const std::string large(10000, 'x');
  std::string reason;
  {
    const FullDisk disk(4096);
    reason = message_of<RunError>([&] { file.write(0, raw_bytes(large)); });
  }
  EXPECT_EQ(reason, "cannot write " + path.string() + ": File too large");
  EXPECT_THAT(message_of<RunError>([&] { ScratchFile(folder / "none/a"); }),
              HasSubstr("No such file or directory"));
}

TEST(Files, AMissingFolderIsARunError) {
  const TemporaryFolder folder;
  const fs::path path = folder / "none/a";
  EXPECT_EQ(message_of<RunError>([&] { write_atomically(path, "x"); }),
            "cannot write " + path.string() + ": No such file or directory");
}

TEST(Files, AFolderCannotBeMadeWhereAFileIs) {
  const TemporaryFolder folder;
  write_atomically(folder / "a", "");
  EXPECT_THAT(message_of<RunError>([&] { make_folder(folder / "a"); }), HasSubstr("Not a directory"));
  EXPECT_THAT(message_of<RunError>([&] { make_folder(folder / "a/b"); }), HasSubstr("Not a directory"));
}

TEST(Files, ReadingRefusesWhatIsMissingOrTooLong) {
  const TemporaryFolder folder;
  EXPECT_EQ(message_of<FileError>([&] { read_text(folder / "none"); }),
            "cannot read " + (folder / "none").string() + ": No such file or directory");
  EXPECT_THAT(message_of<FileError>([&] { read_text(folder.path()); }), HasSubstr("Is a directory"));
  write_atomically(folder / "a", "12345");
  EXPECT_EQ(read_text(folder / "a", 5), "12345");
  EXPECT_THAT(message_of<FileError>([&] { read_text(folder / "a", 4); }), HasSubstr("longer than 4 bytes"));
  EXPECT_THAT(message_of<FileError>([&] { read_text("/dev/zero", 1000000); }),
              HasSubstr("longer than 1000000"));
  EXPECT_EQ(read_text("/dev/null"), "");
}

TEST(Files, AppendsOrStartsAnew) {
  const TemporaryFolder folder;
  AppendFile(folder / "a", AppendFile::Start::at_end).append("1\n");
  AppendFile(folder / "a", AppendFile::Start::at_end).append("2\n");
  EXPECT_EQ(read_text(folder / "a"), "1\n2\n");
  AppendFile(folder / "a", AppendFile::Start::empty).append("3\n");
  EXPECT_EQ(read_text(folder / "a"), "3\n");
}

}  // namespace
}  // namespace gossamer

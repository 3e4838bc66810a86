#include "client/datasets/data_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/client/datasets/support.h"

namespace gossamer {
namespace {

using ::testing::HasSubstr;
using testing_data::refusal;
using testing_data::TempFolder;

std::string text_of(const std::vector<std::uint8_t>& bytes) { return {bytes.begin(), bytes.end()}; }

TEST(DataFile, ReadsPlainAndCompressed) {
  const TempFolder folder;
  std::string content;
  for (int i = 0; i < 100'000; ++i) content += static_cast<char>(i % 1009 * 7 % 251);
  EXPECT_EQ(text_of(read_data_file(folder.write("a", content), 1'000'000)), content);
  EXPECT_EQ(text_of(read_data_file(folder.write_gz("a.gz", content), 1'000'000)), content);
  EXPECT_EQ(text_of(read_data_file(folder.write_gz("exact.gz", content), content.size())), content);
  EXPECT_EQ(text_of(read_data_file(folder.write_gz("empty.gz", ""), 100)), "");
  EXPECT_EQ(text_of(read_data_file(folder.write("empty", ""), 10)), "");
}

TEST(DataFile, ReadsSeveralMembers) {
  const TempFolder folder;
  const auto a = read_data_file(folder.write_gz("a.gz", "first"), 1 << 20);
  std::string both;
  for (const std::string& part : {std::string(5000, 'x'), std::string(3, 'y')}) {
    const std::string file = folder.write_gz("part.gz", part);
    std::ifstream in(file, std::ios::binary);
    both.append(std::istreambuf_iterator<char>(in), {});
  }
  EXPECT_EQ(text_of(read_data_file(folder.write("both.gz", both), 1 << 20)), std::string(5000, 'x') + "yyy");
}

TEST(DataFile, TheLimitHoldsForWhatComesOut) {
  const TempFolder folder;
  EXPECT_THAT(refusal<FileError>([&] { read_data_file(folder.write("big", "12345"), 4); }),
              HasSubstr("big: offset 4: longer than the 4 bytes"));
  const std::string bomb = folder.write_gz("bomb.gz", std::string(10'000'000, '\0'));
  EXPECT_THAT(refusal<FileError>([&] { read_data_file(bomb, 9'999'999); }),
              HasSubstr("decompresses to something longer than the 9999999 bytes"));
  // A trailer that lies about the size changes nothing.
  std::ifstream in(bomb, std::ios::binary);
  std::string packed{std::istreambuf_iterator<char>(in), {}};
  packed.replace(packed.size() - 4, 4, "\xFF\xFF\xFF\xFF");
  EXPECT_THAT(refusal<FileError>([&] { read_data_file(folder.write("lie.gz", packed), 20'000'000); }),
              HasSubstr("lie.gz: offset "));
}

TEST(DataFile, MissingFilesAndFolders) {
  const TempFolder folder;
  EXPECT_THAT(refusal<FileError>([&] { read_data_file(folder.path() + "/none", 10); }),
              HasSubstr("no such file"));
  EXPECT_THAT(refusal<FileError>([&] { read_data_file(folder.path(), 10); }), HasSubstr("not a file"));
  EXPECT_THAT(refusal<FileError>([&] { find_data_file(folder.path(), "a", "get it"); }),
              HasSubstr("/a: no such file (nor with .gz); get it"));
  folder.write("a.gz", "");
  EXPECT_EQ(find_data_file(folder.path(), "a", "").filename(), "a.gz");
  folder.write("a", "");
  EXPECT_EQ(find_data_file(folder.path(), "a", "").filename(), "a");
}

TEST(DataFile, ErrorsEndWithExitCode4) {
  try {
    refuse_file("f", 12, "why");
  } catch (const FileError& e) {
    EXPECT_EQ(e.exit_code(), 4);
    EXPECT_STREQ(e.what(), "f: offset 12: why");
  }
}

}  // namespace
}  // namespace gossamer

#include "client/datasets/shakespeare.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <numeric>

#include "tests/client/datasets/support.h"

namespace gossamer {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing_data::bytes_of;
using testing_data::data_options;
using testing_data::make_data;
using testing_data::refusal;
using testing_data::TempFolder;

std::string play_refusal(std::string_view text) {
  return refusal<FileError>([&] { parse_play("f", bytes_of(text)); });
}

TEST(Shakespeare, ParsesRolesAndSplitsTheirLines) {
  const Play play = parse_play("f", bytes_of("A:\n1\n2\n3\n\nB b:\nx:\r\n\n\nA:\n4\n\n5\n\nC:\n\nB b:\ny"));
  ASSERT_EQ(play.roles.size(), 2U);  // C says nothing
  EXPECT_EQ(play.roles[0].name, "A");
  EXPECT_EQ(play.roles[0].train, "1\n2\n3\n4\n");
  EXPECT_EQ(play.roles[0].test, "5\n");
  EXPECT_EQ(play.roles[1].name, "B b");
  EXPECT_EQ(play.roles[1].train, "x:\n");
  EXPECT_EQ(play.roles[1].test, "y\n");
  EXPECT_EQ(std::string(play.vocabulary.begin(), play.vocabulary.end()), "\n12345:xy");
}

TEST(Shakespeare, Refusals) {
  EXPECT_THAT(play_refusal(""), HasSubstr("f: offset 0: empty"));
  EXPECT_THAT(play_refusal("A:\nab\x01"), HasSubstr("f: offset 5: not a text"));
  EXPECT_THAT(play_refusal("\nwords\n"), HasSubstr("f: offset 1: a line that no role speaks"));
  EXPECT_THAT(play_refusal("A:\n\nB:\n"), HasSubstr("f: offset 7: no role speaks a line"));
}

TEST(Shakespeare, WindowsCoverTheText) {
  EXPECT_THAT(window_starts(4, 4), ElementsAre());
  EXPECT_THAT(window_starts(5, 4), ElementsAre(0));
  EXPECT_THAT(window_starts(6, 4), ElementsAre(0, 1));
  EXPECT_THAT(window_starts(13, 4), ElementsAre(0, 4, 8));
  EXPECT_THAT(window_starts(14, 4), ElementsAre(0, 4, 8, 9));
}

class PlayFile : public ::testing::Test {
 protected:
  PlayFile() {
    file_ = folder_.write("input.txt",
                          "A:\nabcdef\nabcdef\nabcdef\nabcdef\nfedcba\n\nB:\nab\nba\n\n"
                          "C:\naaaaaaaaaaaa\nbbbbbbbbbbbb\n\n");
  }
  std::vector<std::pair<std::string, std::string>> keys() const {
    return {{"data.dataset", "shakespeare"},
            {"data.path", file_},
            {"data.partition", "natural"},
            {"data.shakespeare.window", "4"}};
  }
  TempFolder folder_;
  std::string file_;
};

// B has 3 characters to train on and so no window of 4 with its next characters.
TEST_F(PlayFile, OneClientForEachRole) {
  Options options = data_options(keys());
  const auto data = make_dataset(options);
  EXPECT_EQ(data->clients(), 2);
  EXPECT_EQ(options.integer("data.clients"), 2);
  EXPECT_EQ(data->shape().kind, FeatureKind::tokens);
  EXPECT_EQ(data->shape().features, (std::vector<std::int64_t>{4}));
  EXPECT_EQ(data->shape().labels, 4);
  EXPECT_EQ(data->shape().classes, 7);  // newline and a to f
  EXPECT_EQ(data->examples(0), 7);      // 28 characters
  EXPECT_EQ(data->examples(1), 3);      // 13 characters
  std::vector<std::int64_t> tokens(8);
  std::vector<std::int64_t> labels(8);
  const std::vector<std::int64_t> indices{1, 0};
  data->client(0)->gather(indices, tokens.data(), labels.data());
  EXPECT_THAT(tokens, ElementsAre(5, 6, 0, 1, 1, 2, 3, 4));
  EXPECT_THAT(labels, ElementsAre(6, 0, 1, 2, 2, 3, 4, 5));
  EXPECT_EQ(data->test()->size(), 2 + 3);
  std::vector<float> floats(8);
  EXPECT_THROW(data->client(0)->gather(indices, floats.data(), labels.data()), std::logic_error);
}

TEST_F(PlayFile, GivenClientsAreTheRolesWithTheMostText) {
  auto given = keys();
  given.emplace_back("data.clients", "1");
  const auto data = make_data(given);
  EXPECT_EQ(data->clients(), 1);
  EXPECT_EQ(data->examples(0), 7);
  given.back().second = "3";
  EXPECT_THAT(refusal<ConfigError>([&] { make_data(given); }), HasSubstr("data.clients = 3: "));
}

TEST_F(PlayFile, OtherPartitionsMixTheRoles) {
  auto mixed = keys();
  mixed[2].second = "iid";
  mixed.emplace_back("data.clients", "5");
  const auto data = make_data(mixed);
  for (ClientId k = 0; k < 5; ++k) EXPECT_EQ(data->examples(k), 2);
  mixed[2].second = "shards";
  EXPECT_THAT(refusal<ConfigError>([&] { make_data(mixed); }), HasSubstr("has no single class; use natural"));
}

TEST_F(PlayFile, TooLongAWindowIsRefused) {
  auto wide = keys();
  wide[3].second = "80";
  EXPECT_THAT(refusal<FileError>([&] { make_data(wide); }), HasSubstr("data.shakespeare.window"));
}

TEST(Shakespeare, RealText) {
  const auto folder = testing_data::real_data() / "shakespeare";
  if (!std::filesystem::exists(folder)) GTEST_SKIP() << "no Shakespeare in " << folder << " (GOSSAMER_DATA)";
  const auto data = make_data(
      {{"data.dataset", "shakespeare"}, {"data.path", folder.string()}, {"data.partition", "natural"}});
  EXPECT_EQ(data->shape().classes, 65);
  EXPECT_GT(data->clients(), 200);
  std::int64_t characters = 0;
  for (ClientId k = 0; k < data->clients(); ++k) characters += 80 * data->examples(k);
  // About 80% of the 1.1 million characters, with windows that overlap at the end of a role.
  EXPECT_GT(characters, 780'000);
  EXPECT_LT(characters, 900'000);
  EXPECT_GT(data->test()->size(), 2000);
}

}  // namespace
}  // namespace gossamer

#include "core/options.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/error.h"
#include "core/ini.h"

namespace gossamer {
namespace {

using ::testing::HasSubstr;

Options make_options() {
  auto schema = std::make_shared<OptionSchema>();
  schema->add(text_option("algorithm.name", "fedavg", "").one_of({"fedavg", "fedprox"}));
  schema->add(real_option("client.lr", 0.1, "").above(0));
  schema->add(integer_option("client.batch_size", 10, "").at_least(0));
  schema->add(flag_option("run.overwrite", false, ""));
  OptionSpec mu = real_option("algorithm.fedprox.mu", 1, "").at_least(0);
  mu.choosers = {"algorithm.name"};
  mu.method = "fedprox";
  schema->add(mu);
  schema->add(text_option("run.out", "", ""));
  return Options(schema);
}

std::string refusal(Options& options, std::string_view key, std::string_view value) {
  try {
    options.set(key, value);
  } catch (const ConfigError& e) {
    EXPECT_EQ(e.exit_code(), 2);
    return e.what();
  }
  return "accepted";
}

TEST(Options, DefaultsAndGivenValues) {
  Options options = make_options();
  EXPECT_DOUBLE_EQ(options.real("client.lr"), 0.1);
  EXPECT_FALSE(options.given("client.lr"));
  options.set("client.lr", "0.50");
  EXPECT_DOUBLE_EQ(options.real("client.lr"), 0.5);
  EXPECT_TRUE(options.given("client.lr"));
  options.set("run.overwrite", "yes");
  EXPECT_TRUE(options.flag("run.overwrite"));
}

TEST(Options, RefusalsNameKeyValueAndWhatIsAccepted) {
  Options options = make_options();
  EXPECT_THAT(refusal(options, "client.learning_rate", "1"),
              HasSubstr("client.learning_rate = 1: unknown key"));
  EXPECT_THAT(refusal(options, "client.bach_size", "1"), HasSubstr("nearest known one is client.batch_size"));
  EXPECT_THAT(refusal(options, "client.lr", "0"), HasSubstr("client.lr = 0: expected a number above 0"));
  EXPECT_THAT(refusal(options, "client.lr", "nan"), HasSubstr("expected a number above 0"));
  EXPECT_THAT(refusal(options, "client.batch_size", "2.5"), HasSubstr("expected an integer of at least 0"));
  EXPECT_THAT(refusal(options, "algorithm.name", "fedprx"),
              HasSubstr("one of fedavg, fedprox (nearest: fedprox)"));
  EXPECT_THAT(refusal(options, "run.overwrite", "maybe"), HasSubstr("expected true or false"));
}

TEST(Options, InfinityIsAValueWhereTheKeySaysSo) {
  auto schema = std::make_shared<OptionSchema>();
  schema->add(real_option("privacy.target_epsilon", 1, "").above(0).or_infinite());
  schema->add(real_option("client.lr", 0.1, "").above(0));
  Options options(schema);
  options.set("privacy.target_epsilon", "inf");
  EXPECT_EQ(options.real("privacy.target_epsilon"), std::numeric_limits<double>::infinity());
  EXPECT_THAT(options.to_ini(), HasSubstr("target_epsilon = inf\n"));
  EXPECT_EQ(refusal(options, "privacy.target_epsilon", "-inf"),
            "privacy.target_epsilon = -inf: expected a number above 0, or inf");
  EXPECT_THAT(refusal(options, "privacy.target_epsilon", "nan"), HasSubstr("expected"));
  EXPECT_EQ(refusal(options, "client.lr", "inf"), "client.lr = inf: expected a number above 0");
}

TEST(Options, KeyOfAMethodThatIsNotChosenIsRefused) {
  Options options = make_options();
  options.set("algorithm.fedprox.mu", "0.5");
  EXPECT_THROW(options.check_methods(), ConfigError);
  options.set("algorithm.name", "fedprox");
  EXPECT_NO_THROW(options.check_methods());
}

TEST(Options, PresetRefusesAContradictionOnly) {
  Options options = make_options();
  options.preset("client.batch_size", "0", "algorithm.name = fedsgd");
  EXPECT_EQ(options.integer("client.batch_size"), 0);
  Options contradicting = make_options();
  contradicting.set("client.batch_size", "5");
  EXPECT_THROW(contradicting.preset("client.batch_size", "0", "algorithm.name = fedsgd"), ConfigError);
}

TEST(Options, DigestIgnoresSpellingAndPlaceButNotMeaning) {
  Options a = make_options();
  Options b = make_options();
  b.set("client.lr", "1e-1");
  EXPECT_EQ(a.digest(), b.digest());
  b.set("client.lr", "0.2");
  EXPECT_NE(a.digest(), b.digest());
}

TEST(Options, IniReadsBack) {
  Options options = make_options();
  options.set("client.lr", "0.25");
  EXPECT_THAT(options.to_ini(), HasSubstr("[client]\nlr = 0.25\n"));
  EXPECT_THAT(options.to_ini(), ::testing::Not(HasSubstr("mu")));
}

TEST(Options, IniKeepsValuesThatLookLikeComments) {
  for (const std::string value : {"runs/a #1", "#1", "runs/b ;", "\"runs\" #1", " runs ", "runs/#1"}) {
    Options options = make_options();
    options.set("run.out", value);
    Options again = make_options();
    for (const IniEntry& entry : parse_ini(options.to_ini(), "config.ini")) again.set(entry.key, entry.value);
    EXPECT_EQ(again.text("run.out"), value);
    EXPECT_EQ(again.to_ini(), options.to_ini());
  }
}

}  // namespace
}  // namespace gossamer

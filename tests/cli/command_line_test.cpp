#include "cli/command_line.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "core/error.h"

namespace gossamer {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::StartsWith;

std::shared_ptr<const OptionSchema> make_schema() {
  auto schema = std::make_shared<OptionSchema>();
  schema->add(text_option("run.name", "run", "what the run is called"));
  schema->add(text_option("run.out", "", "folder of the results"));
  schema->add(flag_option("run.overwrite", false, "delete what is there"));
  schema->add(integer_option("run.rounds", 20, "rounds").at_least(1));
  schema->add(real_option("client.lr", 0.1, "learning rate").above(0));
  schema->add(real_option("devices.offset", 0, "any number"));
  schema->add(text_option("algorithm.name", "fedavg", "").one_of({"fedavg", "fedprox"}));
  OptionSpec mu = real_option("algorithm.fedprox.mu", 1, "proximal weight").at_least(0);
  mu.choosers = {"algorithm.name"};
  mu.method = "fedprox";
  schema->add(mu);
  return schema;
}

CommandLine parse(const std::vector<std::string>& words) {
  return parse_command_line(words, commands(), make_schema());
}

std::string refusal(const std::vector<std::string>& words) {
  try {
    parse(words);
  } catch (const ConfigError& e) {
    EXPECT_EQ(e.exit_code(), 2);
    EXPECT_THAT(e.what(), ::testing::Not(HasSubstr("\n")));
    return e.what();
  }
  return "accepted";
}

class ConfigFile {
 public:
  explicit ConfigFile(const std::string& text)
      : path_(::testing::TempDir() + ::testing::UnitTest::GetInstance()->current_test_info()->name() +
              ".ini") {
    std::ofstream(path_) << text;
  }
  ~ConfigFile() { std::filesystem::remove(path_); }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

TEST(CommandLine, EveryKeyHasADefault) {
  const CommandLine line = parse({"simulate"});
  EXPECT_EQ(line.command, "simulate");
  EXPECT_EQ(line.options.integer("run.rounds"), 20);
  EXPECT_FALSE(line.dry_run);
  EXPECT_EQ(line.verbosity, 0);
}

TEST(CommandLine, FlagsComeInBothSpellings) {
  const CommandLine line = parse({"simulate", "--client.lr", "0.5", "--run.name=a=b", "--dry-run"});
  EXPECT_EQ(line.options.real("client.lr"), 0.5);
  EXPECT_EQ(line.options.text("run.name"), "a=b");
  EXPECT_TRUE(line.dry_run);
}

TEST(CommandLine, NegativeNumbersAreValues) {
  EXPECT_EQ(parse({"simulate", "--devices.offset", "-2.5"}).options.real("devices.offset"), -2.5);
  EXPECT_EQ(parse({"simulate", "--devices.offset=-1e-3"}).options.real("devices.offset"), -1e-3);
  EXPECT_THAT(refusal({"simulate", "--client.lr", "-1"}),
              HasSubstr("client.lr = -1: expected a number above 0"));
}

TEST(CommandLine, AFlagKeyNeedsNoValueButTakesOne) {
  EXPECT_TRUE(parse({"simulate", "--run.overwrite"}).options.flag("run.overwrite"));
  EXPECT_TRUE(parse({"simulate", "--run.overwrite", "--run.rounds", "3"}).options.flag("run.overwrite"));
  EXPECT_FALSE(parse({"simulate", "--run.overwrite", "false"}).options.flag("run.overwrite"));
  EXPECT_FALSE(parse({"simulate", "--run.overwrite=off"}).options.flag("run.overwrite"));
  const ConfigFile file("[run]\nname = from_file\n");
  const CommandLine line = parse({"simulate", "--run.overwrite", file.path()});
  EXPECT_TRUE(line.options.flag("run.overwrite"));
  EXPECT_EQ(line.options.text("run.name"), "from_file");
}

TEST(CommandLine, FlagsOverrideTheFile) {
  const ConfigFile file("[run]\nrounds = 7\nname = seven\n[client]\nlr = 0.2 ; a comment\n");
  const CommandLine line = parse({"simulate", "--run.rounds", "9", file.path(), "-v"});
  EXPECT_EQ(line.options.integer("run.rounds"), 9);
  EXPECT_EQ(line.options.text("run.name"), "seven");
  EXPECT_EQ(line.options.real("client.lr"), 0.2);
  EXPECT_EQ(line.verbosity, 1);
}

TEST(CommandLine, AMethodsKeyMayStandInItsSection) {
  const ConfigFile file("[algorithm]\nname = fedprox\nfedprox.mu = 0.25\n");
  EXPECT_EQ(parse({"train", file.path()}).options.real("algorithm.fedprox.mu"), 0.25);
}

TEST(CommandLine, FaultsInAFileNameFileAndLine) {
  const ConfigFile file("# first line\n[run]\nrounds = 7\nroundz = 8\n");
  EXPECT_EQ(refusal({"simulate", file.path()}),
            file.path() + ":4: run.roundz = 8: unknown key; the nearest known one is run.rounds");
  const ConfigFile range("[client]\n\nlr = 0\n");
  EXPECT_EQ(refusal({"simulate", range.path()}),
            range.path() + ":3: client.lr = 0: expected a number above 0");
}

TEST(CommandLine, AFileThatCannotBeOpenedIsBadUsage) {
  EXPECT_EQ(refusal({"simulate", "/nonexistent/a.ini"}),
            "configuration file: cannot read /nonexistent/a.ini: No such file or directory");
  EXPECT_THAT(refusal({"simulate", ::testing::TempDir()}), HasSubstr("Is a directory"));
  EXPECT_THAT(refusal({"simulate", "/dev/zero"}), HasSubstr("longer than"));
}

TEST(CommandLine, UnknownWordsAreRefusedWithTheNearestKnownOne) {
  EXPECT_THAT(refusal({"simulte"}), StartsWith("unknown command simulte; the nearest is simulate"));
  EXPECT_THAT(refusal({"simulate", "--client.lrr", "1"}), HasSubstr("the nearest known one is --client.lr"));
  EXPECT_THAT(refusal({"simulate", "--client.lrr=1"}),
              HasSubstr("--client.lrr: unknown key for gossamer simulate"));
  EXPECT_THAT(refusal({"simulate", "--dryrun"}), HasSubstr("the nearest known one is --dry-run"));
  EXPECT_THAT(refusal({"plot", "a", "--oot", "x.svg"}), HasSubstr("the nearest known one is --out"));
  EXPECT_THAT(refusal({"plot", "a", "--run.rounds", "3"}), HasSubstr("unknown key for gossamer plot"));
  EXPECT_THAT(refusal({"simulate", "-x"}), HasSubstr("-x: unknown flag"));
}

TEST(CommandLine, MissingPartsAreNamed) {
  EXPECT_THAT(refusal({}), StartsWith("a command is missing; expected one of simulate, train"));
  EXPECT_EQ(refusal({"simulate", "--client.lr"}), "--client.lr: a value is missing");
  EXPECT_EQ(refusal({"simulate", "--client.lr", "--run.overwrite"}), "--client.lr: a value is missing");
  EXPECT_THAT(refusal({"plot", "--out", "x.svg"}), HasSubstr("RUN_DIR is missing"));
  EXPECT_EQ(refusal({"evaluate"}), "gossamer evaluate: --model FILE is missing");
  EXPECT_THAT(refusal({"simulate", "--dry-run=yes"}), HasSubstr("takes no value"));
}

TEST(CommandLine, TooManyWordsAreRefused) {
  const ConfigFile file("");
  EXPECT_THAT(refusal({"simulate", file.path(), "another.ini"}), HasSubstr("unexpected word another.ini"));
}

TEST(CommandLine, CommandsHaveTheirOwnFlagsAndWords) {
  const CommandLine plot = parse({"plot", "runs/a", "--x", "bytes", "runs/b", "--out=c.svg"});
  EXPECT_THAT(plot.positional, ElementsAre("runs/a", "runs/b"));
  EXPECT_EQ(plot.extra.at("x"), "bytes");
  EXPECT_EQ(plot.extra.at("out"), "c.svg");
  EXPECT_FALSE(plot.extra.contains("y"));
  const ConfigFile file("[run]\nrounds = 3\n");
  const CommandLine bench = parse({"bench", "train", file.path(), "--json", "rows.json", "--run.name", "b"});
  EXPECT_THAT(bench.positional, ElementsAre("train"));
  EXPECT_EQ(bench.options.integer("run.rounds"), 3);
  EXPECT_EQ(bench.options.text("run.name"), "b");
}

TEST(CommandLine, TwoDashesEndTheFlags) {
  EXPECT_THAT(parse({"plot", "--x", "time", "--", "--odd-name", "-v"}).positional,
              ElementsAre("--odd-name", "-v"));
}

TEST(CommandLine, QuietAndVerboseCount) {
  EXPECT_EQ(parse({"simulate", "-q", "-q"}).verbosity, -2);
  EXPECT_EQ(parse({"-v", "simulate", "--verbose"}).verbosity, 2);
  EXPECT_EQ(parse({"simulate", "-vv"}).verbosity, 2);
}

TEST(CommandLine, HelpAndVersionNeedNothingElse) {
  EXPECT_TRUE(parse({"--help"}).help);
  EXPECT_TRUE(parse({"-h"}).help);
  EXPECT_TRUE(parse({"--version"}).version);
  const CommandLine line = parse({"plot", "--help"});
  EXPECT_TRUE(line.help);
  EXPECT_EQ(line.command, "plot");
}

TEST(CommandLine, ControlCharactersAreNoValues) {
  EXPECT_THAT(refusal({"simulate", "--run.name", "a\nb"}),
              HasSubstr("--run.name: the value holds a control"));
}

TEST(CommandLine, UsageNamesEveryCommandFlagAndKey) {
  const std::string all = usage(commands());
  for (const CommandSpec& spec : commands()) {
    EXPECT_THAT(all, HasSubstr("gossamer " + spec.name));
    const std::string one = usage(commands(), spec.name, *make_schema());
    for (const CommandFlag& flag : spec.flags) EXPECT_THAT(one, HasSubstr("--" + flag.name));
    EXPECT_EQ(one.find("--client.lr") != std::string::npos, spec.takes_config);
  }
}

}  // namespace
}  // namespace gossamer

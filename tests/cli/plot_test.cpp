#include "cli/plot.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>

#include "core/error.h"
#include "core/files.h"
#include "core/metrics.h"

namespace gossamer {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;
using ::testing::StartsWith;

class Plot : public ::testing::Test {
 protected:
  void SetUp() override {
    root_ = fs::path(::testing::TempDir()) / ::testing::UnitTest::GetInstance()->current_test_info()->name();
    fs::remove_all(root_);
    fs::create_directories(root_);
  }
  void TearDown() override { fs::remove_all(root_); }

  // Accuracy is known every other round only.
  fs::path make_run(const std::string& name, int rounds) {
    fs::create_directories(root_ / name);
    RunRecorder recorder(root_ / name / "metrics.jsonl", std::nullopt);
    for (int round = 1; round <= rounds; ++round) {
      RoundMetrics m;
      m.round = round;
      m.time_s = 10.0 * round;
      m.wall_s = 0.5 * round;
      m.bytes_up = 1000;
      m.bytes_down = 3000;
      m.train_loss = 2.0 / round;
      if (round % 2 == 0) {
        m.test_accuracy = 1 - 0.5 / round;
        m.test_loss = 1.5 / round;
      }
      recorder.add(m);
    }
    return root_ / name;
  }

  std::string refusal(const PlotRequest& request) {
    try {
      plot(request);
    } catch (const Error& e) {
      EXPECT_THAT(e.what(), ::testing::Not(HasSubstr("\n")));
      return std::to_string(e.exit_code()) + ": " + e.what();
    }
    return "drawn";
  }

  fs::path root_;
};

TEST_F(Plot, TrafficBetweenPeersIsWhatTheySent) {
  const fs::path server = make_run("server", 2), peers = make_run("peers", 2);
  write_atomically(server / "config.ini", "[topology]\nname = tree\n");
  write_atomically(peers / "config.ini", "[topology]\nname = ring\n");
  PlotRequest request{{server, peers}, {"bytes"}, {"test_accuracy"}, root_ / "c.csv"};
  plot(request);
  EXPECT_EQ(read_text(request.out), "run,round,bytes,test_accuracy\nserver,2,8000,0.75\npeers,2,2000,0.75\n");
}

TEST_F(Plot, CsvHasOneLineForEachEvaluatedRound) {
  PlotRequest request{{make_run("a", 4), make_run("b, c", 2)},
                      {"round", "bytes", "time"},
                      {"test_accuracy"},
                      root_ / "c.csv"};
  plot(request);
  EXPECT_EQ(read_text(request.out),
            "run,round,bytes,time_s,test_accuracy\n"
            "a,2,8000,20,0.75\n"
            "a,4,16000,40,0.875\n"
            "\"b, c\",2,8000,20,0.75\n");
}

TEST_F(Plot, CsvLeavesUnknownValuesEmpty) {
  PlotRequest request{{make_run("a", 2)}, {"wall"}, {"test_accuracy", "train_loss"}, root_ / "c.csv"};
  plot(request);
  EXPECT_EQ(read_text(request.out), "run,round,wall_s,test_accuracy,train_loss\na,1,0.5,,2\na,2,1,0.75,1\n");
}

TEST_F(Plot, RunsOfTheSameNameAreToldApart) {
  const fs::path first = make_run("x/run", 2);
  const fs::path second = make_run("y/run", 2);
  PlotRequest request{{first, second / ""}, {"round"}, {"test_accuracy"}, root_ / "c.csv"};
  plot(request);
  EXPECT_THAT(read_text(request.out), HasSubstr("\n" + first.string() + ",2,"));
}

TEST_F(Plot, SvgHoldsACurveForEachRunAndALegend) {
  PlotRequest request{{make_run("it's <odd>", 40), make_run("b", 40)},
                      {"round", "bytes"},
                      {"test_accuracy"},
                      root_ / "it's.svg"};
  plot(request);
  const std::string svg = read_text(request.out);
  EXPECT_THAT(svg, HasSubstr("</svg>"));
  EXPECT_THAT(svg, HasSubstr("test accuracy (%)"));
  EXPECT_THAT(svg, HasSubstr("traffic (kB)"));
  EXPECT_THAT(svg, HasSubstr("it's &lt;odd"));
  EXPECT_FALSE(fs::exists(temporary_path(request.out)));
}

// The lower ends of texts are further down than what they are placed by.
TEST_F(Plot, ALongLegendIsBelowTheCurvesAndEndsAboveThePicturesEdge) {
  PlotRequest request{{}, {"round"}, {"test_accuracy"}, root_ / "many.svg"};
  for (int i = 10; i < 52; ++i) request.runs.push_back(make_run("the name of method" + std::to_string(i), 4));
  plot(request);
  const std::string svg = read_text(request.out);
  for (int i = 10; i < 52; ++i) {
    const std::size_t name = svg.find("method" + std::to_string(i));
    ASSERT_NE(name, std::string::npos) << i;
    EXPECT_GT(std::stod(svg.substr(svg.find(',', svg.rfind("translate(", name)) + 1)), 480) << i;
  }
  const double height = std::stod(svg.substr(svg.find("height=\"") + 8));
  double lowest = 0;
  for (std::size_t at = 0; (at = svg.find("translate(", at)) != std::string::npos; ++at)
    lowest = std::max(lowest, std::stod(svg.substr(svg.find(',', at) + 1)));
  EXPECT_GT(lowest, 500) << "where the legend is";
  EXPECT_LT(lowest, height - 6);
}

TEST_F(Plot, ARunWithoutPrivacyIsALevelLineAgainstEpsilon) {
  const fs::path folder = root_ / "private";
  fs::create_directories(folder);
  RunRecorder recorder(folder / "metrics.jsonl", std::nullopt);
  for (int round = 1; round <= 3; ++round) {
    RoundMetrics m;
    m.round = round;
    m.epsilon = 0.5 * round;
    m.test_accuracy = 0.1 * round;
    recorder.add(m);
  }
  const fs::path plain = make_run("plain", 4);
  PlotRequest request{{folder, plain}, {"epsilon"}, {"test_accuracy"}, root_ / "c.csv"};
  plot(request);
  EXPECT_THAT(read_text(request.out), StartsWith("run,round,epsilon,test_accuracy\nprivate,1,0.5,0.1\n"));
  const auto curves = [&](std::vector<fs::path> runs) {
    plot({std::move(runs), {"epsilon"}, {"test_accuracy"}, root_ / "c.svg"});
    const std::string svg = read_text(root_ / "c.svg");
    std::size_t count = 0;
    for (std::size_t at = svg.find("_plot_"); at != std::string::npos; at = svg.find("_plot_", at + 1))
      ++count;
    return std::pair(count, svg.size());
  };
  EXPECT_GT(curves({folder, plain}).second, curves({folder}).second);
  EXPECT_GT(curves({folder, plain}).first, curves({folder}).first);
}

TEST_F(Plot, PngIsAPicture) {
  PlotRequest request{{make_run("a", 5)}, {"time"}, {"train_loss"}, root_ / "c.png"};
  plot(request);
  EXPECT_THAT(read_text(request.out), StartsWith("\x89PNG"));
}

TEST_F(Plot, CurveShowsAccuracyAndLossAgainstRoundsBytesAndTime) {
  const RunFolder folder(make_run("a", 10));
  draw_curve(folder);
  const std::string svg = read_text(folder.curve());
  for (const char* text : {"test accuracy (%)", "loss", "round", "traffic (kB)", "virtual time (s)"}) {
    EXPECT_THAT(svg, HasSubstr(text));
  }
}

TEST_F(Plot, FaultsAreOneLine) {
  const fs::path run = make_run("a", 2);
  const fs::path svg = root_ / "c.svg";
  EXPECT_THAT(
      refusal({{run}, {"rounds"}, {"test_accuracy"}, svg}),
      StartsWith(
          "2: --x = rounds: expected one of round, bytes, bytes_up, epsilon, time, wall (nearest: round)"));
  EXPECT_THAT(refusal({{run}, {"round"}, {"accuracy"}, svg}), HasSubstr("(nearest: test_accuracy)"));
  EXPECT_THAT(refusal({{run}, {"round"}, {"test_accuracy"}, root_ / "c.pdf"}),
              HasSubstr("ends in .svg, .png or .csv"));
  EXPECT_THAT(refusal({{run}, {"round"}, {"epsilon"}, svg}),
              HasSubstr("2: --y = epsilon: none of these runs"));
  EXPECT_THAT(refusal({{root_ / "none"}, {"round"}, {"test_accuracy"}, svg}),
              StartsWith("4: cannot read " + (root_ / "none" / "metrics.jsonl").string()));
  EXPECT_THAT(refusal({{run}, {"round"}, {"test_accuracy"}, root_ / "no_folder" / "c.svg"}),
              StartsWith("3: cannot write"));
  EXPECT_THAT(refusal({{run}, {"round"}, {"test_accuracy"}, root_ / "no_folder" / "c.csv"}),
              StartsWith("3: cannot write"));
}

TEST_F(Plot, WithoutGnuplotOnlyPicturesAreMissing) {
  const fs::path run = make_run("a", 2);
  const std::string path = std::getenv("PATH");
  ASSERT_EQ(::setenv("PATH", "/nonexistent", 1), 0);
  const std::string reason = refusal({{run}, {"round"}, {"test_accuracy"}, root_ / "c.svg"});
  const std::string csv = refusal({{run}, {"round"}, {"test_accuracy"}, root_ / "c.csv"});
  draw_curve(RunFolder(run));
  ASSERT_EQ(::setenv("PATH", path.c_str(), 1), 0);
  EXPECT_THAT(reason, HasSubstr("apt-get install gnuplot-nox"));
  EXPECT_EQ(csv, "drawn");
  EXPECT_FALSE(fs::exists(run / "curve.svg"));
  EXPECT_FALSE(fs::exists(temporary_path(run / "curve.svg")));
}

TEST_F(Plot, RequestComesFromTheCommandLine) {
  const auto schema = std::make_shared<OptionSchema>();
  const PlotRequest request = plot_request(parse_command_line(
      {"plot", "a", "b", "--x", "round,bytes", "--y=train_loss", "--out", "p.png"}, commands(), schema));
  EXPECT_EQ(request.runs, (std::vector<fs::path>{"a", "b"}));
  EXPECT_EQ(request.x, (std::vector<std::string>{"round", "bytes"}));
  EXPECT_EQ(request.y, (std::vector<std::string>{"train_loss"}));
  EXPECT_EQ(request.out, "p.png");
  EXPECT_THROW(plot_request(parse_command_line({"plot", "a", "--x", "round,"}, commands(), schema)),
               ConfigError);
}

}  // namespace
}  // namespace gossamer

#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "cli/command_line.h"
#include "core/run_folder.h"

namespace gossamer {

// One picture: a grid of panels, one column for each x and one row for each y, with a curve for each run.
// `out` says by its ending what is written: .svg, .png or .csv.
struct PlotRequest {
  std::vector<std::filesystem::path> runs;
  std::vector<std::string> x{"round"};
  std::vector<std::string> y{"test_accuracy"};
  std::filesystem::path out = "curve.svg";
  bool log_x = false;  // logarithmic x axes, for runs whose lengths differ by orders of magnitude
};

// From the words of `gossamer plot`. Throws ConfigError, with the choices, on an unknown field or ending.
PlotRequest plot_request(const CommandLine& line);

// Throws ConfigError on a request that cannot be drawn (a field that no run has), FileError on a folder
// without readable metrics.jsonl, RunError where gnuplot is missing (a .csv needs none) or fails, or `out`
// cannot be written.
void plot(const PlotRequest& request);

// The command.
int plot_command(const CommandLine& line);

// The run's curve.svg: accuracy and loss against rounds, bytes and time. A picture is not worth a run: where
// it cannot be drawn, a warning is logged and that is all.
void draw_curve(const RunFolder& folder);

}  // namespace gossamer

#pragma once

#include <cstddef>
#include <filesystem>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace gossamer {

// What gnuplot draws: a grid of panels with curves, and one legend for all.
struct Point {
  double x;
  double y;
};

struct Curve {
  std::vector<Point> points;
  std::size_t style;  // which colour and dash
};

struct Panel {
  std::string x_label;
  std::string y_label;
  double x_max = 1;
  bool x_log = false;
  std::optional<std::pair<double, double>> y_range;  // else gnuplot chooses
  bool y_log = false;
  std::vector<Curve> curves;
};

struct Picture {
  std::size_t columns = 1;
  std::vector<Panel> panels;        // row by row
  std::vector<std::string> legend;  // one name for each style; empty: none is needed
};

// Draws into `out`, an .svg or .png, which is whole or absent. Throws RunError where gnuplot is missing or
// fails, or `out` cannot be written.
void draw(const Picture& picture, const std::filesystem::path& out);

}  // namespace gossamer

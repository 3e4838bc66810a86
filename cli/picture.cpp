#include "cli/picture.h"

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <memory>
#include <system_error>

#include "core/error.h"
#include "core/files.h"
#include "core/text.h"

namespace gossamer {
namespace {

namespace fs = std::filesystem;

// Okabe and Ito's colours, which people with any kind of colour vision tell apart; without the yellow, which
// is too pale for a line.
constexpr std::array kColours{"#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000"};
constexpr std::array kDashes{"1", "'-'", "'.'", "'-.'"};
// Of another number than the dashes, so that both together tell 140 curves apart: gnuplot's filled disc,
// square, triangles and diamond.
constexpr std::array kMarks{"7", "5", "9", "11", "13"};

std::string marks(std::size_t index) {
  return std::string(" pt ") + kMarks[index / kColours.size() % kMarks.size()] + " ps " +
         (index < kColours.size() ? "0.55 " : "0.8 ");
}

std::string style(std::size_t index) {
  return std::string("lw 2.2 dt ") + kDashes[index / kColours.size() % kDashes.size()] + " lc rgb '" +
         kColours[index % kColours.size()] + "'";
}

// In gnuplot's single quotes nothing but the quote itself means anything.
std::string quoted(const std::string& text) {
  std::string inside;
  for (const char c : text) {
    if (c == '\'') inside += '\'';
    inside += static_cast<unsigned char>(c) < 0x20 || c == 0x7F ? '?' : c;
  }
  return "'" + inside + "'";
}

// Curves of few points are marked, so that one sees where a run was evaluated.
constexpr std::size_t kMostMarks = 30;

bool has_marks(const Picture& picture) {
  return std::ranges::any_of(picture.panels, [](const Panel& panel) {
    return std::ranges::any_of(panel.curves,
                               [](const Curve& curve) { return curve.points.size() <= kMostMarks; });
  });
}

// Pixels.
constexpr double kLeft = 84;
constexpr double kRight = 26;
constexpr double kTop = 24;
constexpr double kBottom = 62;
constexpr double kLegendTop = 12;
constexpr double kLegendLine = 27;
constexpr double kSample = 44;  // of a curve, in the legend
constexpr double kLetter = 8.2;

struct Canvas {
  double width;
  double panel_width;
  double panel_height;
  double legend_height;
  double height;
  std::size_t legend_lines;
  std::size_t legend_columns;
  double legend_entry;  // its width
};

Canvas canvas_of(const Picture& picture) {
  const auto columns = static_cast<double>(picture.columns);
  const auto rows = static_cast<double>(picture.panels.size() / picture.columns);
  Canvas canvas{};
  canvas.panel_width = picture.columns == 1 ? 800 : 460;
  canvas.panel_height = rows == 1 ? (picture.columns == 1 ? 480 : 380) : 300;
  canvas.width = columns * canvas.panel_width;
  std::size_t longest = 0;
  for (const std::string& name : picture.legend) longest = std::max(longest, name.size());
  canvas.legend_entry = kLetter * static_cast<double>(longest) + kSample + 20;
  const auto fitting = static_cast<std::size_t>(std::max(1.0, (canvas.width - 30) / canvas.legend_entry));
  const std::size_t most = std::max<std::size_t>(1, std::min(fitting, picture.legend.size()));
  canvas.legend_lines = (picture.legend.size() + most - 1) / most;
  canvas.legend_columns =
      picture.legend.empty() ? 0 : (picture.legend.size() + canvas.legend_lines - 1) / canvas.legend_lines;
  canvas.legend_height =
      picture.legend.empty() ? 0 : kLegendTop + kLegendLine * static_cast<double>(canvas.legend_lines) + 8;
  canvas.height = rows * canvas.panel_height + canvas.legend_height;
  return canvas;
}

std::string data_name(std::size_t panel, std::size_t curve) {
  return "$d" + std::to_string(panel) + "_" + std::to_string(curve);
}

std::string data_of(const Picture& picture) {
  std::string script;
  for (std::size_t p = 0; p < picture.panels.size(); ++p) {
    for (std::size_t c = 0; c < picture.panels[p].curves.size(); ++c) {
      script += data_name(p, c) + " << END\n";
      for (const Point& point : picture.panels[p].curves[c].points) {
        script += shortest(point.x) + " " + shortest(point.y) + "\n";
      }
      script += "END\n";
    }
  }
  return script;
}

std::string panel_script(const Picture& picture, const Canvas& canvas, std::size_t index) {
  const Panel& panel = picture.panels[index];
  const double left = static_cast<double>(index % picture.columns) * canvas.panel_width;
  const double top = static_cast<double>(index / picture.columns) * canvas.panel_height;
  const auto across = [&](double pixel) { return " at screen " + shortest(pixel / canvas.width) + "\n"; };
  const auto down = [&](double pixel) { return " at screen " + shortest(1 - pixel / canvas.height) + "\n"; };
  std::string script;
  script += "set lmargin" + across(left + kLeft);
  script += "set rmargin" + across(left + canvas.panel_width - kRight);
  script += "set tmargin" + down(top + kTop);
  script += "set bmargin" + down(top + canvas.panel_height - kBottom);
  script += "set xlabel " + quoted(panel.x_label) + "\nset ylabel " + quoted(panel.y_label) + "\n";
  script += "unset logscale\n";
  script += panel.x_log ? "set logscale x\nset xrange [*:" : "set xrange [0:";
  script += shortest(panel.x_max) + "]\n";
  if (panel.y_log) script += "set logscale y\n";
  script += panel.y_range ? "set yrange [" + shortest(panel.y_range->first) + ":" +
                                shortest(panel.y_range->second) + "]\n"
                          : std::string("set yrange [*:*]\n");
  std::string curves;
  for (std::size_t c = 0; c < panel.curves.size(); ++c) {
    const Curve& curve = panel.curves[c];
    if (curve.points.empty()) continue;
    const std::string how =
        curve.points.size() <= kMostMarks ? " with linespoints" + marks(curve.style) : " with lines ";
    curves += (curves.empty() ? "plot " : ", ") + data_name(index, c) + " using 1:2" + how +
              style(curve.style) + " notitle";
  }
  if (curves.empty()) {
    return script +
           "set yrange [0:1]\nset label 1 'no data' at graph 0.5,0.5 center textcolor rgb '#777777'\n"
           "plot NaN notitle\nunset label 1\n";
  }
  return script + curves + "\n";
}

// Drawn here, column by column: how many columns gnuplot's own takes follows from its guess at letters'
// widths.
std::string legend_script(const Picture& picture, const Canvas& canvas) {
  if (picture.legend.empty()) return {};
  std::string script =
      "set lmargin at screen 0\nset rmargin at screen 1\nset bmargin at screen 0\nset tmargin at screen " +
      shortest(canvas.legend_height / canvas.height) +
      "\nunset border\nunset tics\nunset grid\nunset xlabel\nunset ylabel\nunset logscale\nset xrange [0:" +
      shortest(canvas.width) + "]\nset yrange [0:" + shortest(canvas.legend_height) + "]\n";
  // Colours and dashes alone tell few enough apart.
  const bool marked = picture.legend.size() > kColours.size() && has_marks(picture);
  const double left = (canvas.width - static_cast<double>(canvas.legend_columns) * canvas.legend_entry) / 2;
  std::string samples;
  for (std::size_t i = 0; i < picture.legend.size(); ++i) {
    const double x = left + static_cast<double>(i / canvas.legend_lines) * canvas.legend_entry;
    const double y = canvas.legend_height - kLegendTop -
                     kLegendLine * (static_cast<double>(i % canvas.legend_lines) + 0.5);
    const auto point = [&](double along) { return shortest(x + along * kSample) + " " + shortest(y) + "\n"; };
    const std::string name = "$l" + std::to_string(i);
    script += name + " << END\n" + point(0) + point(0.5) + point(1) + "END\nset label " +
              std::to_string(i + 1) + " " + quoted(picture.legend[i]) + " at " + shortest(x + kSample + 8) +
              "," + shortest(y) + " left\n";
    samples += (i == 0 ? "plot " : ", ") + name + " with lines " + style(i) + " notitle";
    if (marked)
      samples += ", " + name + " every ::1::1 with points" + marks(i) + "lc rgb '" +
                 kColours[i % kColours.size()] + "' notitle";
  }
  return script + samples + "\n";
}

std::string script_of(const Picture& picture, const fs::path& out, bool png) {
  const Canvas canvas = canvas_of(picture);
  const std::string size = " size " + shortest(canvas.width) + "," + shortest(canvas.height);
  std::string script = data_of(picture);
  // A PNG is drawn at twice the size, for screens with fine pixels.
  script += png ? "set terminal pngcairo noenhanced fontscale 2 linewidth 2 pointscale 2 font 'DejaVu "
                  "Sans,11' size " +
                      shortest(2 * canvas.width) + "," + shortest(2 * canvas.height) +
                      " background '#ffffff'\n"
                : "set terminal svg noenhanced font 'Helvetica,Arial,DejaVu Sans,sans-serif,15' background "
                  "'#ffffff'" +
                      size + "\n";
  script += "set encoding utf8\nset output " + quoted(fs::absolute(out).string()) +
            "\nset multiplot\nunset key\n"
            "set border 3 lc rgb '#666666' lw 1\nset tics nomirror out scale 0.5 textcolor rgb '#333333'\n"
            "set grid lc rgb '#dddddd' lt 1 lw 0.8\nset format '%g'\n"
            "set xlabel textcolor rgb '#222222'\nset ylabel textcolor rgb '#222222' offset 0.5,0\n";
  for (std::size_t i = 0; i < picture.panels.size(); ++i) script += panel_script(picture, canvas, i);
  return script + legend_script(picture, canvas) + "unset multiplot\nset output\n";
}

struct CloseFile {
  void operator()(std::FILE* file) const { std::fclose(file); }
};
using File = std::unique_ptr<std::FILE, CloseFile>;

File temporary_file() {
  File file(std::tmpfile());
  if (!file) throw RunError("cannot make a temporary file: " + std::generic_category().message(errno));
  return file;
}

std::string first_line_with_text(std::FILE* file) {
  std::rewind(file);
  std::array<char, 512> line{};
  while (std::fgets(line.data(), line.size(), file) != nullptr) {
    std::string text = line.data();
    text.erase(std::min(text.find_last_not_of(" \t\r\n") + 1, text.size()));
    if (text.find_first_not_of(" \t^") != std::string::npos) return text;
  }
  return "no reason given";
}

// The script goes in by a file, not through a pipe or a shell: nothing in it is interpreted by anybody but
// gnuplot, and nobody waits for anybody.
void run_gnuplot(const std::string& script) {
  const File input = temporary_file();
  const File errors = temporary_file();
  if (std::fwrite(script.data(), 1, script.size(), input.get()) != script.size() ||
      std::fflush(input.get()) != 0) {
    throw RunError("cannot write a temporary file: " + std::generic_category().message(errno));
  }
  std::rewind(input.get());

  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, ::fileno(input.get()), STDIN_FILENO);
  posix_spawn_file_actions_adddup2(&actions, ::fileno(errors.get()), STDERR_FILENO);
  posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
  std::array<char, 8> program{"gnuplot"};
  std::array<char, 3> no_settings{"-d"};
  std::array<char*, 3> arguments{program.data(), no_settings.data(), nullptr};
  pid_t child = 0;
  const int error = ::posix_spawnp(&child, program.data(), &actions, nullptr, arguments.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  if (error == ENOENT) {
    throw RunError(
        "gnuplot is not installed: apt-get install gnuplot-nox (a .csv can be written without it)");
  }
  if (error != 0) throw RunError("cannot start gnuplot: " + std::generic_category().message(error));
  int status = 0;
  while (::waitpid(child, &status, 0) < 0) {
    if (errno != EINTR) throw RunError("cannot wait for gnuplot: " + std::generic_category().message(errno));
  }
  if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
    throw RunError("gnuplot failed: " + first_line_with_text(errors.get()));
  }
}

// Deletes what was left half done.
class TemporaryPath {
 public:
  explicit TemporaryPath(fs::path path) : path_(std::move(path)) {}
  ~TemporaryPath() {
    std::error_code ignored;
    fs::remove(path_, ignored);
  }
  TemporaryPath(const TemporaryPath&) = delete;
  TemporaryPath& operator=(const TemporaryPath&) = delete;
  const fs::path& path() const noexcept { return path_; }

 private:
  fs::path path_;
};

}  // namespace

void draw(const Picture& picture, const fs::path& out) {
  const TemporaryPath temporary(temporary_path(out));
  // gnuplot's own words on a place where it cannot write do not say why.
  AppendFile(temporary.path(), AppendFile::Start::empty);
  run_gnuplot(script_of(picture, temporary.path(), out.extension() == ".png"));
  std::error_code error;
  fs::rename(temporary.path(), out, error);
  if (error) throw RunError("cannot write " + out.string() + ": " + error.message());
}

}  // namespace gossamer

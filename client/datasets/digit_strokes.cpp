// Handwritten-like digits from pen strokes. A digit is a few strokes, each a Catmull-Rom spline through
// control points; a writer bends, slants and scales all of them in a habitual way, and every digit differs a
// little more. Distortions act on the control points, so that a bent stroke stays a smooth one (the idea of
// elastic distortion: Simard, Steinkraus, Platt: "Best practices for convolutional neural networks applied
// to visual document analysis", ICDAR 2003).
#include "client/datasets/digit_strokes.h"

#include <algorithm>
#include <cmath>
#include <initializer_list>

namespace gossamer {
namespace {

struct Point {
  float x, y;
};

Point operator+(Point a, Point b) { return {a.x + b.x, a.y + b.y}; }
Point operator-(Point a, Point b) { return {a.x - b.x, a.y - b.y}; }
Point operator*(float s, Point a) { return {s * a.x, s * a.y}; }

constexpr int kMostPoints = 16;
constexpr int kMostStrokes = 3;
constexpr int kMostShapes = 4;

// One pen-down movement. Where two strokes of a shape share an end point, the pen turned a corner.
struct Stroke {
  std::array<Point, kMostPoints> points{};
  int count = 0;

  constexpr Stroke() = default;
  constexpr Stroke(std::initializer_list<Point> list) {
    for (Point point : list) points[static_cast<std::size_t>(count++)] = point;
  }
};

struct Shape {
  std::array<Stroke, kMostStrokes> strokes{};
  int count = 0;
  float share = 0;  // of the population that writes the digit this way

  constexpr Shape() = default;
  constexpr Shape(float part, std::initializer_list<Stroke> list) : share(part) {
    for (const Stroke& stroke : list) strokes[static_cast<std::size_t>(count++)] = stroke;
  }
};

struct Glyph {
  std::array<Shape, kMostShapes> shapes{};
  int count = 0;

  constexpr Glyph(std::initializer_list<Shape> list) {
    for (const Shape& shape : list) shapes[static_cast<std::size_t>(count++)] = shape;
  }
};

// The shapes of each digit in a box of width and height 1, x to the right and y down.
constexpr std::array<Glyph, kDigitClasses> kGlyphs{
    Glyph{
        {0.55F,
         {{{0.55F, 0.0F},
           {0.2F, 0.15F},
           {0.04F, 0.5F},
           {0.17F, 0.87F},
           {0.5F, 1.0F},
           {0.84F, 0.84F},
           {0.96F, 0.48F},
           {0.83F, 0.13F},
           {0.5F, 0.0F}}}},
        {0.3F,
         {{{0.72F, 0.1F},
           {0.42F, 0.02F},
           {0.13F, 0.28F},
           {0.1F, 0.68F},
           {0.36F, 0.98F},
           {0.71F, 0.9F},
           {0.89F, 0.55F},
           {0.78F, 0.15F},
           {0.5F, 0.03F},
           {0.34F, 0.15F}}}},
        {0.15F,
         {{{0.4F, 0.05F},
           {0.12F, 0.32F},
           {0.08F, 0.72F},
           {0.4F, 1.0F},
           {0.78F, 0.88F},
           {0.95F, 0.5F},
           {0.85F, 0.16F},
           {0.58F, 0.08F}}}},
    },
    Glyph{
        {0.6F, {{{0.52F, 0.0F}, {0.5F, 0.5F}, {0.48F, 1.0F}}}},
        {0.27F,
         {{{0.22F, 0.25F}, {0.42F, 0.13F}, {0.55F, 0.0F}}, {{0.55F, 0.0F}, {0.54F, 0.5F}, {0.53F, 1.0F}}}},
        {0.13F,
         {{{0.25F, 0.22F}, {0.52F, 0.0F}},
          {{0.52F, 0.0F}, {0.52F, 0.5F}, {0.5F, 0.98F}},
          {{0.2F, 0.99F}, {0.5F, 0.97F}, {0.82F, 0.99F}}}},
    },
    Glyph{
        {0.4F,
         {{{0.1F, 0.26F},
           {0.28F, 0.05F},
           {0.62F, 0.0F},
           {0.86F, 0.2F},
           {0.74F, 0.48F},
           {0.4F, 0.76F},
           {0.06F, 0.98F}},
          {{0.06F, 0.98F}, {0.5F, 0.95F}, {0.96F, 0.97F}}}},
        {0.35F,
         {{{0.12F, 0.2F},
           {0.4F, 0.0F},
           {0.75F, 0.1F},
           {0.78F, 0.38F},
           {0.55F, 0.7F},
           {0.22F, 0.95F},
           {0.04F, 0.9F},
           {0.16F, 0.76F},
           {0.45F, 0.86F},
           {0.7F, 0.99F},
           {0.97F, 0.88F}}}},
        {0.25F,
         {{{0.1F, 0.1F}, {0.45F, 0.02F}, {0.8F, 0.08F}, {0.8F, 0.3F}, {0.5F, 0.62F}, {0.12F, 0.95F}},
          {{0.12F, 0.95F}, {0.55F, 1.0F}, {0.92F, 0.93F}}}},
    },
    Glyph{
        {0.45F,
         {{{0.1F, 0.14F}, {0.4F, 0.0F}, {0.76F, 0.1F}, {0.76F, 0.34F}, {0.36F, 0.46F}},
          {{0.36F, 0.46F}, {0.78F, 0.55F}, {0.9F, 0.78F}, {0.58F, 1.0F}, {0.22F, 0.98F}, {0.05F, 0.84F}}}},
        {0.2F,
         {{{0.12F, 0.04F}, {0.45F, 0.02F}, {0.82F, 0.04F}},
          {{0.82F, 0.04F}, {0.42F, 0.4F}},
          {{0.42F, 0.4F}, {0.8F, 0.5F}, {0.86F, 0.78F}, {0.55F, 1.0F}, {0.1F, 0.9F}}}},
        {0.35F,
         {{{0.14F, 0.2F},
           {0.35F, 0.02F},
           {0.7F, 0.04F},
           {0.8F, 0.24F},
           {0.58F, 0.44F},
           {0.36F, 0.5F},
           {0.48F, 0.42F},
           {0.76F, 0.54F},
           {0.86F, 0.76F},
           {0.62F, 0.98F},
           {0.24F, 0.98F},
           {0.08F, 0.88F}}}},
    },
    Glyph{
        {0.45F,
         {{{0.2F, 0.02F}, {0.14F, 0.3F}, {0.1F, 0.56F}},
          {{0.1F, 0.56F}, {0.5F, 0.55F}, {0.94F, 0.53F}},
          {{0.72F, 0.06F}, {0.7F, 0.5F}, {0.66F, 1.0F}}}},
        {0.25F,
         {{{0.66F, 0.0F}, {0.35F, 0.32F}, {0.04F, 0.64F}},
          {{0.04F, 0.64F}, {0.5F, 0.64F}, {0.97F, 0.62F}},
          {{0.66F, 0.0F}, {0.66F, 0.5F}, {0.65F, 1.0F}}}},
        {0.3F,
         {{{0.14F, 0.06F}, {0.08F, 0.32F}, {0.28F, 0.5F}, {0.56F, 0.48F}, {0.82F, 0.36F}},
          {{0.84F, 0.0F}, {0.8F, 0.5F}, {0.7F, 1.0F}}}},
    },
    Glyph{
        {0.45F,
         {{{0.88F, 0.03F}, {0.55F, 0.04F}, {0.26F, 0.04F}},
          {{0.26F, 0.04F}, {0.18F, 0.42F}},
          {{0.18F, 0.42F}, {0.5F, 0.36F}, {0.84F, 0.53F}, {0.84F, 0.84F}, {0.46F, 1.0F}, {0.06F, 0.9F}}}},
        {0.35F,
         {{{0.88F, 0.04F},
           {0.45F, 0.03F},
           {0.2F, 0.22F},
           {0.36F, 0.42F},
           {0.74F, 0.56F},
           {0.82F, 0.82F},
           {0.48F, 1.0F},
           {0.08F, 0.92F}}}},
        {0.2F,
         {{{0.26F, 0.1F}, {0.2F, 0.45F}},
          {{0.2F, 0.45F}, {0.52F, 0.42F}, {0.8F, 0.62F}, {0.74F, 0.9F}, {0.4F, 1.0F}, {0.05F, 0.88F}},
          {{0.28F, 0.08F}, {0.6F, 0.05F}, {0.97F, 0.0F}}}},
    },
    Glyph{
        {0.45F,
         {{{0.76F, 0.02F},
           {0.36F, 0.26F},
           {0.12F, 0.64F},
           {0.26F, 0.95F},
           {0.6F, 1.0F},
           {0.86F, 0.8F},
           {0.7F, 0.57F},
           {0.38F, 0.6F},
           {0.16F, 0.8F}}}},
        {0.35F,
         {{{0.42F, 0.0F},
           {0.22F, 0.36F},
           {0.14F, 0.74F},
           {0.34F, 0.99F},
           {0.66F, 0.96F},
           {0.78F, 0.76F},
           {0.56F, 0.6F},
           {0.24F, 0.74F}}}},
        {0.2F,
         {{{0.88F, 0.14F},
           {0.6F, 0.0F},
           {0.26F, 0.24F},
           {0.1F, 0.62F},
           {0.28F, 0.97F},
           {0.66F, 0.98F},
           {0.88F, 0.74F},
           {0.64F, 0.52F},
           {0.3F, 0.58F},
           {0.12F, 0.72F}}}},
    },
    Glyph{
        {0.5F,
         {{{0.04F, 0.06F}, {0.5F, 0.04F}, {0.92F, 0.05F}}, {{0.92F, 0.05F}, {0.58F, 0.5F}, {0.36F, 1.0F}}}},
        {0.25F,
         {{{0.06F, 0.05F}, {0.5F, 0.06F}, {0.92F, 0.03F}},
          {{0.92F, 0.03F}, {0.6F, 0.5F}, {0.42F, 1.0F}},
          {{0.28F, 0.52F}, {0.55F, 0.5F}, {0.82F, 0.49F}}}},
        {0.25F,
         {{{0.08F, 0.24F},
           {0.12F, 0.06F},
           {0.5F, 0.1F},
           {0.9F, 0.02F},
           {0.7F, 0.38F},
           {0.52F, 0.7F},
           {0.48F, 1.0F}}}},
    },
    Glyph{
        {0.5F,
         {{{0.8F, 0.14F},
           {0.5F, 0.0F},
           {0.2F, 0.16F},
           {0.32F, 0.4F},
           {0.68F, 0.58F},
           {0.84F, 0.82F},
           {0.5F, 1.0F},
           {0.16F, 0.82F},
           {0.34F, 0.57F},
           {0.7F, 0.38F},
           {0.82F, 0.16F}}}},
        {0.25F,
         {{{0.5F, 0.47F}, {0.22F, 0.24F}, {0.5F, 0.0F}, {0.78F, 0.22F}, {0.5F, 0.47F}},
          {{0.5F, 0.47F}, {0.12F, 0.74F}, {0.5F, 1.0F}, {0.88F, 0.73F}, {0.5F, 0.47F}}}},
        {0.25F,
         {{{0.9F, 0.1F},
           {0.56F, 0.03F},
           {0.22F, 0.18F},
           {0.36F, 0.42F},
           {0.7F, 0.62F},
           {0.74F, 0.88F},
           {0.42F, 1.0F},
           {0.16F, 0.86F},
           {0.36F, 0.58F},
           {0.66F, 0.34F},
           {0.84F, 0.02F}}}},
    },
    Glyph{
        {0.45F,
         {{{0.82F, 0.22F},
           {0.55F, 0.02F},
           {0.2F, 0.14F},
           {0.14F, 0.4F},
           {0.42F, 0.54F},
           {0.72F, 0.4F},
           {0.82F, 0.12F}},
          {{0.82F, 0.12F}, {0.78F, 0.56F}, {0.66F, 1.0F}}}},
        {0.3F,
         {{{0.8F, 0.26F},
           {0.52F, 0.0F},
           {0.18F, 0.18F},
           {0.22F, 0.46F},
           {0.54F, 0.5F},
           {0.8F, 0.26F},
           {0.84F, 0.6F},
           {0.6F, 0.95F},
           {0.18F, 0.94F}}}},
        {0.25F,
         {{{0.78F, 0.08F},
           {0.42F, 0.02F},
           {0.12F, 0.26F},
           {0.3F, 0.5F},
           {0.66F, 0.36F},
           {0.84F, 0.04F},
           {0.72F, 0.5F},
           {0.5F, 1.0F}}}},
    },
};

// Cheap symmetric noise in (-1, 1) with variance 1/6: the sum of two uniforms.
float jitter(Rng& rng) { return rng.uniform_float() + rng.uniform_float() - 1.0F; }

// Uniform in [low, high).
float between(Rng& rng, float low, float high) { return low + (high - low) * rng.uniform_float(); }

using Grid = std::array<std::array<float, 2>, std::size_t{WriterStyle::kGrid} * WriterStyle::kGrid>;

void fill_grid(Rng& rng, float amplitude, Grid& grid) {
  for (auto& [dx, dy] : grid) {
    dx = amplitude * jitter(rng);
    dy = amplitude * jitter(rng);
  }
}

// The displacement at a point of the unit box, bilinear between grid points.
Point displacement(const Grid& grid, Point p) {
  constexpr int kCells = WriterStyle::kGrid - 1;
  const float gx = std::clamp(p.x, 0.0F, 1.0F) * kCells;
  const float gy = std::clamp(p.y, 0.0F, 1.0F) * kCells;
  const int ix = std::min(static_cast<int>(gx), kCells - 1);
  const int iy = std::min(static_cast<int>(gy), kCells - 1);
  const float fx = gx - static_cast<float>(ix);
  const float fy = gy - static_cast<float>(iy);
  const auto at = [&](int x, int y) {
    const auto& [dx, dy] = grid[static_cast<std::size_t>(y * WriterStyle::kGrid + x)];
    return Point{dx, dy};
  };
  const Point upper = (1 - fx) * at(ix, iy) + fx * at(ix + 1, iy);
  const Point lower = (1 - fx) * at(ix, iy + 1) + fx * at(ix + 1, iy + 1);
  return (1 - fy) * upper + fy * lower;
}

// Where the nearest stroke is: squared distance over the pen's squared half-width there, per pixel.
using Canvas = std::array<float, kDigitPixels>;

constexpr float kFar = 1e9F;
constexpr float kSoftPx = 0.55F;  // half the width of a stroke's blurred edge

// A straight piece of a stroke, drawn with a round pen of half-width `pen`.
void draw_segment(Canvas& canvas, Point a, Point b, float pen) {
  const float reach = pen + kSoftPx;
  const int x0 = std::max(0, static_cast<int>(std::ceil(std::min(a.x, b.x) - reach)));
  const int x1 = std::min(kDigitSide - 1, static_cast<int>(std::floor(std::max(a.x, b.x) + reach)));
  const int y0 = std::max(0, static_cast<int>(std::ceil(std::min(a.y, b.y) - reach)));
  const int y1 = std::min(kDigitSide - 1, static_cast<int>(std::floor(std::max(a.y, b.y) + reach)));
  const Point d = b - a;
  const float length2 = d.x * d.x + d.y * d.y;
  const float inverse = length2 > 0 ? 1 / length2 : 0;
  const float scale = 1 / (pen * pen);
  for (int y = y0; y <= y1; ++y) {
    float* row = canvas.data() + y * kDigitSide;
    const float py = static_cast<float>(y) - a.y;
    for (int x = x0; x <= x1; ++x) {
      const float px = static_cast<float>(x) - a.x;
      const float t = std::clamp((px * d.x + py * d.y) * inverse, 0.0F, 1.0F);
      const float ex = px - t * d.x;
      const float ey = py - t * d.y;
      row[x] = std::min(row[x], (ex * ex + ey * ey) * scale);
    }
  }
}

Point catmull_rom(Point p0, Point p1, Point p2, Point p3, float t) {
  const Point a = 2.0F * p1;
  const Point b = p2 - p0;
  const Point c = 2.0F * p0 - 5.0F * p1 + 4.0F * p2 - p3;
  const Point d = 3.0F * (p1 - p2) + p3 - p0;
  return 0.5F * (a + t * (b + t * (c + t * d)));
}

// A spline through pixel positions, as straight pieces of a little over a pixel.
void draw_stroke(Canvas& canvas, std::span<const Point> points, float pen, float pressure) {
  constexpr float kPiecePx = 1.3F;
  const auto last = points.size() - 1;
  Point from = points[0];
  for (std::size_t i = 0; i < last; ++i) {
    const Point p1 = points[i];
    const Point p2 = points[i + 1];
    const Point p0 = i > 0 ? points[i - 1] : p1;
    const Point p3 = i + 2 <= last ? points[i + 2] : p2;
    const int pieces =
        std::max(1, static_cast<int>(std::ceil(std::hypot(p2.x - p1.x, p2.y - p1.y) / kPiecePx)));
    for (int k = 1; k <= pieces; ++k) {
      const float t = static_cast<float>(k) / static_cast<float>(pieces);
      const Point to = catmull_rom(p0, p1, p2, p3, t);
      // The pen is pressed down on the way and lifted towards the end.
      const float along = (static_cast<float>(i) + t) / static_cast<float>(last);
      draw_segment(canvas, from, to, pen * (1 + pressure * (0.5F - along)));
      from = to;
    }
  }
}

// How far to move [low, high] to lie within [first, last]; it must fit.
float keep_within(float low, float high, float first, float last) {
  return std::max(0.0F, first - low) - std::max(0.0F, high - last);
}

const Shape& choose_shape(const Glyph& glyph, float habit) {
  int chosen = 0;
  float sum = glyph.shapes[0].share;
  while (chosen + 1 < glyph.count && habit >= sum)
    sum += glyph.shapes[static_cast<std::size_t>(++chosen)].share;
  return glyph.shapes[static_cast<std::size_t>(chosen)];
}

}  // namespace

WriterStyle draw_style(Rng& rng) {
  WriterStyle style;
  style.slant = 0.12F + 0.57F * jitter(rng);
  style.rotation = 0.26F * jitter(rng);
  style.height_px = between(rng, 13.2F, 22.0F);
  style.aspect = between(rng, 0.52F, 0.88F);
  style.pen_px = between(rng, 0.75F, 1.75F);
  style.ink = between(rng, 0.8F, 1.0F);
  style.tremor = between(rng, 0.6F, 1.3F);
  for (float& habit : style.habit) habit = rng.uniform_float();
  fill_grid(rng, 0.17F, style.bend);
  return style;
}

void draw_digit(int digit, const WriterStyle& style, Rng& rng, std::span<std::uint8_t, kDigitPixels> image) {
  const Glyph& glyph = kGlyphs[static_cast<std::size_t>(digit)];
  // Now and then a writer uses another shape than usual.
  const float habit =
      rng.uniform_float() < 0.12F ? rng.uniform_float() : style.habit[static_cast<std::size_t>(digit)];
  const Shape& shape = choose_shape(glyph, habit);

  const float slant = style.slant + 0.08F * style.tremor * jitter(rng);
  const float rotation = style.rotation + 0.09F * style.tremor * jitter(rng);
  const float height = style.height_px * (1 + 0.1F * style.tremor * jitter(rng));
  const float width = height * style.aspect * (1 + 0.14F * style.tremor * jitter(rng));
  const float pen = std::max(0.6F, style.pen_px * (1 + 0.12F * jitter(rng)));
  const float pressure = 0.35F * jitter(rng);
  const float cosine = std::cos(rotation);
  const float sine = std::sin(rotation);
  Grid bend;
  fill_grid(rng, 0.135F * style.tremor, bend);
  const Point centre{0.5F * (kDigitSide - 1) + 2.1F * jitter(rng),
                     0.5F * (kDigitSide - 1) + 2.1F * jitter(rng)};

  std::array<std::array<Point, kMostPoints>, kMostStrokes> placed{};
  Point low{kDigitSide, kDigitSide};
  Point high{0, 0};
  for (int s = 0; s < shape.count; ++s) {
    const Stroke& stroke = shape.strokes[static_cast<std::size_t>(s)];
    for (int i = 0; i < stroke.count; ++i) {
      const Point p = stroke.points[static_cast<std::size_t>(i)];
      const Point bent = p + displacement(style.bend, p) + displacement(bend, p);
      const float x = (bent.x - 0.5F) * width + (0.5F - bent.y) * slant * height;
      const float y = (bent.y - 0.5F) * height;
      const Point at = centre + Point{cosine * x - sine * y, sine * x + cosine * y};
      placed[static_cast<std::size_t>(s)][static_cast<std::size_t>(i)] = at;
      low = {std::min(low.x, at.x), std::min(low.y, at.y)};
      high = {std::max(high.x, at.x), std::max(high.y, at.y)};
    }
  }
  // The writer keeps to the paper: what is too large is written smaller, what would cross the edge moves in.
  const float first = pen + kSoftPx;
  const float last = kDigitSide - 1 - first;
  const Point extent = high - low;
  const float shrink = std::min(1.0F, (last - first) / std::max(extent.x, extent.y));
  const Point middle = 0.5F * (low + high);
  const Point half = 0.5F * shrink * extent;
  const Point target = middle + Point{keep_within(middle.x - half.x, middle.x + half.x, first, last),
                                      keep_within(middle.y - half.y, middle.y + half.y, first, last)};

  Canvas canvas;
  canvas.fill(kFar);
  for (int s = 0; s < shape.count; ++s) {
    auto& points = placed[static_cast<std::size_t>(s)];
    for (Point& point : points) point = target + shrink * (point - middle);
    const auto count = static_cast<std::size_t>(shape.strokes[static_cast<std::size_t>(s)].count);
    draw_stroke(canvas, std::span<const Point>(points).first(count), pen, pressure);
  }

  // Ink over distance, then the grain of paper and scanner.
  const float ink = 255.0F * style.ink;
  const float edge = pen / (2 * kSoftPx);
  std::uint32_t grain = 0;
  for (std::size_t i = 0; i < kDigitPixels; ++i) {
    if (i % 4 == 0) grain = rng();
    const float noise = static_cast<float>(grain & 0xFFU) - 127.5F;
    grain >>= 8U;
    const float cover = std::clamp(0.5F + (1 - std::sqrt(canvas[i])) * edge, 0.0F, 1.0F);
    const float value = cover * (ink + 0.25F * noise) + (0.14F * noise - 6.0F);
    image[i] = static_cast<std::uint8_t>(std::clamp(value, 0.0F, 255.0F));
  }
}

}  // namespace gossamer

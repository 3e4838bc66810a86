#include "client/trainers/example_kernels.h"

#include <algorithm>
#include <cstring>

#include "core/simd.h"

namespace gossamer {
namespace {

constexpr std::size_t kLanes = 16;

GOSSAMER_MULTIVERSION
void squares_loop(const float* __restrict matrix, std::size_t columns, double* __restrict squares,
                  std::size_t rows) {
  for (std::size_t i = 0; i < rows; ++i) {
    const float* row = matrix + i * columns;
    double lanes[kLanes] = {};
    std::size_t j = 0;
    for (; j + kLanes <= columns; j += kLanes) {
      for (std::size_t lane = 0; lane < kLanes; ++lane) {
        const auto x = static_cast<double>(row[j + lane]);
        lanes[lane] += x * x;
      }
    }
    for (std::size_t lane = 0; j < columns; ++j, ++lane) {
      const auto x = static_cast<double>(row[j]);
      lanes[lane] += x * x;
    }
    double sum = 0;
    for (const double lane : lanes) sum += lane;
    squares[i] = sum;
  }
}

GOSSAMER_MULTIVERSION
void scale_loop(const float* __restrict matrix, float factor, float* __restrict scaled, std::size_t n) {
  for (std::size_t i = 0; i < n; ++i) scaled[i] = factor * matrix[i];
}

// Copies whole vectors, up to kRoom - 1 floats further than asked for.
GOSSAMER_MULTIVERSION
void patches_loop(const float* padded, std::size_t pitch, std::size_t rows, std::size_t columns,
                  float* matrix) {
  for (std::size_t row = 0; row < rows; ++row) {
    for (std::size_t j = 0; j < columns; j += Patches::kRoom) {
      std::memcpy(matrix + row * columns + j, padded + row * pitch + j, Patches::kRoom * sizeof(float));
    }
  }
}

void patches_loop(const float* padded, std::size_t pitch, std::size_t stride, std::size_t rows,
                  std::size_t columns, float* matrix) {
  for (std::size_t row = 0; row < rows; ++row) {
    for (std::size_t j = 0; j < columns; ++j) *matrix++ = padded[row * stride * pitch + j * stride];
  }
}

}  // namespace

void row_squares(std::span<const float> matrix, std::span<double> squares) {
  if (squares.empty()) return;
  squares_loop(matrix.data(), matrix.size() / squares.size(), squares.data(), squares.size());
}

void scale_rows(std::span<const float> matrix, std::span<const float> factors, std::span<float> scaled) {
  const std::size_t width = matrix.size() / factors.size();
  for (std::size_t i = 0; i < factors.size(); ++i) {
    scale_loop(matrix.data() + i * width, factors[i], scaled.data() + i * width, width);
  }
}

void unfold(std::span<const float> image, const Patches& patches, std::span<float> padded,
            std::span<float> matrix) {
  const std::size_t pitch = patches.padded_width(), height = patches.height + 2 * patches.padding;
  std::ranges::fill(padded, 0.0F);
  for (std::size_t channel = 0; channel < patches.channels; ++channel) {
    for (std::size_t row = 0; row < patches.height; ++row) {
      std::copy_n(image.data() + (channel * patches.height + row) * patches.width, patches.width,
                  padded.data() + (channel * height + row + patches.padding) * pitch + patches.padding);
    }
  }
  float* to = matrix.data();
  for (std::size_t channel = 0; channel < patches.channels; ++channel) {
    for (std::size_t y = 0; y < patches.kernel; ++y) {
      for (std::size_t x = 0; x < patches.kernel; ++x, to += patches.positions()) {
        const float* const first = padded.data() + (channel * height + y) * pitch + x;
        if (patches.stride == 1) {
          patches_loop(first, pitch, patches.rows(), patches.columns(), to);
        } else {
          patches_loop(first, pitch, patches.stride, patches.rows(), patches.columns(), to);
        }
      }
    }
  }
}

}  // namespace gossamer

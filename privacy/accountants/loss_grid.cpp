#include "privacy/accountants/loss_grid.h"

#include <algorithm>
#include <cmath>

namespace gossamer {
namespace {

constexpr double kLongestPanel = 0.5;  // in s: the share of a point falls as exp(-loss)

// Cells are counted along ln(1 - q + q exp(s)), which is the loss of `remove` and minus that of `add`.
class GridBuilder {
 public:
  GridBuilder(const PrivacyEvent& event, Direction direction, double width, double log_tail)
      : function_(event),
        removes_(direction == Direction::remove),
        width_(width),
        scale_(1 / std::expm1(-width)),
        tail_(event.mechanism == NoiseKind::gaussian ? std::exp(log_tail) : 0),
        range_(function_.range(log_tail)) {}

  LossGrid build() {
    const auto cell_low = cell_of(function_.loss(range_.low)),
               cell_high = cell_of(function_.loss(range_.high));
    grid_.first = removes_ ? cell_low : -cell_high - 1;
    grid_.masses.assign(static_cast<std::size_t>(cell_high - cell_low) + 2, 0.0);
    add_density(cell_low);
    for (const auto [s, log_mass] : function_.atoms()) {
      const double loss = function_.loss(s);
      add(std::clamp(cell_of(loss), cell_low, cell_high), loss, mass(log_mass, loss));
    }
    // The end of s where the loss is low goes to the point next above all that can be there.
    grid_.masses[1] += tail_;
    grid_.infinite = tail_;
    return std::move(grid_);
  }

 private:
  std::int64_t cell_of(double loss) const { return static_cast<std::int64_t>(std::floor(loss / width_)); }
  double mass(double log_density, double loss) const {
    return std::exp(removes_ ? log_density + loss : log_density);
  }

  void add_density(std::int64_t cell) {
    for (double s = range_.low; s < range_.high;) {
      double border = function_.ratio(static_cast<double>(cell + 1) * width_);
      while (border <= s) border = function_.ratio(static_cast<double>(++cell + 1) * width_);
      const double step = function_.step(s);
      const double end = std::min({border, range_.high, s + std::min(step, kLongestPanel)});
      const auto& nodes = end - s < 0.1 * step ? three_nodes() : five_nodes();
      const double half = (end - s) / 2;
      for (const auto [position, weight] : nodes) {
        const double at = s + half * (1 + position), loss = function_.loss(at);
        add(cell, loss, weight * half * mass(function_.log_density(at), loss));
      }
      s = end;
    }
  }

  void add(std::int64_t cell, double loss, double mass) {
    const std::int64_t lower = removes_ ? cell : -cell - 1;
    const double above =
        removes_ ? loss - static_cast<double>(cell) * width_ : static_cast<double>(cell + 1) * width_ - loss;
    const double up = std::expm1(-std::clamp(above, 0.0, width_)) * scale_;
    double* const at = &grid_.masses[static_cast<std::size_t>(lower - grid_.first)];
    at[0] += mass * (1 - up);
    at[1] += mass * up;
  }

  const LossFunction function_;
  const bool removes_;
  const double width_, scale_;
  const double tail_;
  const LossFunction::Range range_;
  LossGrid grid_;
};

}  // namespace

LossGrid loss_grid(const PrivacyEvent& event, Direction direction, double width, double log_tail) {
  return GridBuilder(event, direction, width, log_tail).build();
}

}  // namespace gossamer

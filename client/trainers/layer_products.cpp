#include "client/trainers/layer_products.h"

#include <torch/torch.h>

#include <algorithm>
#include <array>
#include <tuple>

#include "client/trainers/stack_kernels.h"
#include "client/trainers/stack_pass.h"
#include "client/trainers/vectors.h"

namespace gossamer {
namespace {

at::Tensor view_of(std::span<float> values, at::IntArrayRef shape) {
  return at::from_blob(values.data(), shape, at::kFloat);
}

// Rough costs in multiplications of floats: of writing a float to memory and reading it again, and of a
// multiplication in double precision.
constexpr std::int64_t kPerStoredFloat = 40, kPerDouble = 2;

}  // namespace

void LayerProducts::take(const LayerTrace& trace, std::int64_t examples) {
  trace_ = trace;
  examples_ = examples;
  convolution_ = trace.kind == LayerTrace::Kind::convolution;
  out_ = trace.weight.size(0);
  in_ = trace.weight.numel() / out_;
  trace_.input = trace.input.contiguous();
  trace_.delta = trace.delta.contiguous();
  if (convolution_) {
    const auto extent = [&](int axis) { return static_cast<std::size_t>(trace.input.size(axis)); };
    patches_ = {extent(1),
                extent(2),
                extent(3),
                static_cast<std::size_t>(trace.weight.size(2)),
                static_cast<std::size_t>(trace.padding),
                static_cast<std::size_t>(trace.stride)};
    positions_ = static_cast<std::int64_t>(patches_.positions());
    padded_.resize(patches_.padded_floats());
    matrix_.resize(patches_.matrix_floats());
  } else {  // rows of deltas, or of an embedding's tokens
    positions_ = trace_.delta.numel() / trace_.delta.size(-1) / examples;
  }
  way_ = choose();
}

LayerProducts::Way LayerProducts::choose() const {
  if (trace_.kind == LayerTrace::Kind::embedding) return Way::table;
  if (positions_ == 1 && !convolution_) return Way::outer;
  const std::int64_t gram = kPerDouble * positions_ * positions_ * (in_ + out_);
  return gram < kPerStoredFloat * in_ * out_ ? Way::gram : Way::stored;
}

LayerProducts::Factors LayerProducts::factors_of(std::int64_t example) {
  if (!convolution_) {
    const auto rows = [&](const at::Tensor& all) {
      return all.narrow(0, example * positions_, positions_).t();
    };
    return {rows(trace_.input), rows(trace_.delta)};
  }
  const std::size_t pixels = patches_.channels * patches_.height * patches_.width;
  unfold(floats(trace_.input).subspan(static_cast<std::size_t>(example) * pixels, pixels), patches_, padded_,
         matrix_);
  return {view_of(matrix_, {in_, positions_}), trace_.delta.select(0, example).view({out_, positions_})};
}

void LayerProducts::add_squares(std::span<double> squares) {
  row_.resize(squares.size());
  switch (way_) {
    case Way::outer:
      return add_outer_squares(squares);
    case Way::gram:
      add_gram_squares(squares);
      return add_bias_squares(squares);
    case Way::stored:
      add_stored_squares(squares);
      return add_bias_squares(squares);
    case Way::table:
      return add_table_squares(squares);
  }
}

void LayerProducts::add_outer_squares(std::span<double> squares) {
  row2_.resize(squares.size());
  row_squares(floats(trace_.input), row_);
  row_squares(floats(trace_.delta), row2_);
  for (std::size_t i = 0; i < squares.size(); ++i) squares[i] += (row_[i] + 1) * row2_[i];
}

// In double precision, since what the positions add may cancel.
void LayerProducts::add_gram_squares(std::span<double> squares) {
  for (std::int64_t i = 0; i < examples_; ++i) {
    const Factors factors = factors_of(i);
    const at::Tensor input = factors.input.to(at::kDouble), delta = factors.delta.to(at::kDouble);
    const double square = at::mm(input.t(), input).mul_(at::mm(delta.t(), delta)).sum().item<double>();
    squares[static_cast<std::size_t>(i)] += square < 0 ? 0 : square;  // NaN stays
  }
}

void LayerProducts::add_stored_squares(std::span<double> squares) {
  const auto size = static_cast<std::size_t>(in_ * out_);
  stored_.resize(squares.size() * size);
  for (std::int64_t i = 0; i < examples_; ++i) {
    const Factors factors = factors_of(i);
    const std::span<float> gradient = std::span(stored_).subspan(static_cast<std::size_t>(i) * size, size);
    at::Tensor product = view_of(gradient, {out_, in_});
    at::mm_out(product, factors.delta, factors.input.t());
    row_squares(gradient,
                std::span(row_).subspan(static_cast<std::size_t>(i), 1));  // while it is in the cache
  }
  for (std::size_t i = 0; i < squares.size(); ++i) squares[i] += row_[i];
}

void LayerProducts::add_bias_squares(std::span<double> squares) {
  bias_.resize(squares.size() * static_cast<std::size_t>(out_));
  at::Tensor sums = view_of(bias_, {examples_, out_});
  const std::int64_t axis = convolution_ ? 2 : 1;
  const at::Tensor deltas = convolution_ ? trace_.delta.view({examples_, out_, positions_})
                                         : trace_.delta.view({examples_, positions_, out_});
  at::sum_out(sums, deltas, at::IntArrayRef(&axis, 1));
  row_squares(bias_, row_);
  for (std::size_t i = 0; i < squares.size(); ++i) squares[i] += row_[i];
}

// A token may come several times in an example: its deltas add up first.
void LayerProducts::add_table_squares(std::span<double> squares) {
  const auto width = static_cast<std::size_t>(in_), tokens = static_cast<std::size_t>(positions_);
  table_.assign(static_cast<std::size_t>(out_) * width, 0.0F);
  const std::span<const float> delta = floats(trace_.delta);
  const auto* token = trace_.input.data_ptr<std::int64_t>();
  const auto row = [&](std::size_t j) {
    return std::span(table_).subspan(static_cast<std::size_t>(token[j]) * width, width);
  };
  for (std::size_t i = 0; i < squares.size(); ++i, token += tokens) {
    for (std::size_t j = 0; j < tokens; ++j)
      add_scaled(row(j), 1, delta.subspan((i * tokens + j) * width, width));
    for (std::size_t j = 0; j < tokens; ++j) {
      double square = 0;
      row_squares(row(j), {&square, 1});
      squares[i] += square;
      std::ranges::fill(row(j), 0.0F);
    }
  }
}

void LayerProducts::forget(std::span<const std::int64_t> examples) {
  if (trace_.kind != LayerTrace::Kind::embedding) trace_.input = trace_.input.clone();
  trace_.delta = trace_.delta.clone();
  const auto clear = [&](const at::Tensor& all, std::int64_t example) {
    all.view({examples_, -1}).select(0, example).zero_();
  };
  for (const std::int64_t example : examples) {
    if (trace_.kind != LayerTrace::Kind::embedding) clear(trace_.input, example);
    clear(trace_.delta, example);
    if (way_ == Way::stored) clear(view_of(stored_, {examples_, in_ * out_}), example);
    if (way_ == Way::stored || way_ == Way::gram) clear(view_of(bias_, {examples_, out_}), example);
  }
}

at::Tensor LayerProducts::scaled_delta(std::span<const float> factors) {
  const std::span<const float> delta = floats(trace_.delta);
  scaled_.resize(delta.size());
  scale_rows(delta, factors, scaled_);
  return view_of(scaled_, trace_.delta.sizes());
}

void LayerProducts::add_to(std::span<const float> factors, bool add, std::span<float> weight,
                           std::span<float> bias) {
  if (way_ == Way::table) {
    add_table(factors, add, weight);
  } else if (way_ == Way::stored) {
    add_rows_times(stored_, factors, add, weight);
  } else {
    add_product(scaled_delta(factors), add, weight);
  }
  if (way_ == Way::outer) add_rows(scaled_, add ? 1 : 0, 1, bias);
  if (way_ == Way::gram || way_ == Way::stored) add_rows_times(bias_, factors, add, bias);
  trace_.input.reset();
  trace_.delta.reset();
}

void LayerProducts::add_rows_times(std::span<float> rows, std::span<const float> factors, bool add,
                                   std::span<float> sum) {
  if (!add) std::ranges::fill(sum, 0.0F);
  const at::Tensor f = at::from_blob(const_cast<float*>(factors.data()), {examples_}, at::kFloat);
  const auto width = static_cast<std::int64_t>(sum.size());
  view_of(sum, {width}).addmv_(view_of(rows, {examples_, width}).t(), f);
}

// One product over all positions of all examples.
void LayerProducts::add_product(const at::Tensor& delta, bool add, std::span<float> weight) {
  if (convolution_) {
    const std::array<std::int64_t, 2> padding{trace_.padding, trace_.padding};
    const std::array<std::int64_t, 2> stride{trace_.stride, trace_.stride};
    const at::Tensor gradient = std::get<1>(
        at::convolution_backward(delta, trace_.input, trace_.weight.detach(), c10::OptionalIntArrayRef{},
                                 stride, padding, {1, 1}, false, {0, 0}, 1, {false, true, false}));
    combine(weight, add ? 1 : 0, 1, floats(gradient.contiguous()));
    return;
  }
  at::Tensor sum = view_of(weight, {out_, in_});
  if (add) {
    sum.addmm_(delta.t(), trace_.input);
  } else {
    at::mm_out(sum, delta.t(), trace_.input);
  }
}

void LayerProducts::add_table(std::span<const float> factors, bool add, std::span<float> weight) {
  if (!add) std::ranges::fill(weight, 0.0F);
  const auto width = static_cast<std::size_t>(in_), tokens = static_cast<std::size_t>(positions_);
  const std::span<const float> delta = floats(trace_.delta);
  const auto* token = trace_.input.data_ptr<std::int64_t>();
  for (std::size_t i = 0; i < factors.size() * tokens; ++i) {
    add_scaled(weight.subspan(static_cast<std::size_t>(token[i]) * width, width), factors[i / tokens],
               delta.subspan(i * width, width));
  }
}

}  // namespace gossamer

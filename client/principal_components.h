#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "client/datasets/dataset.h"
#include "privacy/noise/noise_source.h"

namespace gossamer {

// The sum of x x^T over the examples, each scaled to length 1 (those of zeros stay so), [features, features]
// in doubles, with Gaussian noise of noise_multiplier on each entry on and above the diagonal, mirrored
// (Dwork, Talwar, Thakurta, Zhang: "Analyze Gauss", STOC 2014; as in Abadi et al., CCS 2016). An example
// changes those entries by at most 1 (L2), so this costs one Gaussian release of that noise multiplier; with
// 0 it is not private. Requires examples of numbers.
at::Tensor noisy_second_moments(const ExampleSet& examples, double noise_multiplier, NoiseSource& source);

// The eigenvectors of the largest eigenvalues, [dimensions, features], rows of length 1, whose largest entry
// is positive. Requires a symmetric matrix of at least so many rows.
at::Tensor principal_directions(const at::Tensor& moments, std::int64_t dimensions);

// The examples, as they are, along the directions: size() x dimensions.
std::vector<float> along(const at::Tensor& directions, const ExampleSet& examples);

// All their labels.
std::vector<std::int32_t> labels_of(const ExampleSet& examples);

}  // namespace gossamer

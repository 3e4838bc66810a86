#pragma once

#include <span>

#include "privacy/accountants/accountant.h"

namespace gossamer {

// Google's grid: 1.1 to 10.9 by tenths, 11 to 63, 128, 256, 512, 1024.
std::span<const double> renyi_orders();

// Renyi divergence of this order (> 1) of one step of the event, the larger of both directions.
// Gaussian: Mironov, Talwar and Zhang, "Renyi differential privacy of the sampled Gaussian mechanism", 2019.
// Laplace: the integral itself (without sampling: Mironov 2017, proposition 6). Pure: the sum over both
// outcomes of randomized response (without sampling: proposition 5).
double renyi_divergence(const PrivacyEvent& event, double order);

// Classic: Mironov 2017, proposition 3. Improved: Canonne, Kamath and Steinke 2020, proposition 12.
enum class Conversion { improved, classic };
double epsilon_of(double order, double divergence, double delta, Conversion conversion);
double delta_of(double order, double divergence, double epsilon, Conversion conversion);

}  // namespace gossamer

#pragma once

#include <cstdint>
#include <functional>

namespace gossamer::testing {

// What a membership game shows of epsilon at `delta`, wrong in at most one of a thousand games (whose random
// numbers are all anew): a lower bound, to lie below what is claimed.
struct Evidence {
  // Whatever the mechanism: a test of membership that is right so often and wrong so often contradicts less
  // (Jagielski, Ullman, Oprea: "Auditing differentially private machine learning", NeurIPS 2020).
  double epsilon;
  // Of Gaussian noise on sums that a record is in for sure, where the same rates say how far apart both sums
  // are, and so epsilon at any delta (Nasr et al.: "Tight auditing of differentially private machine
  // learning", USENIX 2023).
  double of_gaussian;
};

// Plays one game, with its number's own random numbers: a figure that is larger the more the release looks as
// if the record had been `with` the others.
using Game = std::function<double(bool with, std::uint64_t number)>;

// 2 * trials games with and as many without. One half chooses the threshold that the other half is judged by.
Evidence audit(const Game& game, std::uint64_t trials, double delta);

// What a probability is at least and at most, after k successes in n trials, but for this risk each (Clopper,
// Pearson 1934).
double least_probability(double k, double n, double risk);
double most_probability(double k, double n, double risk);

// Of two normal distributions of deviation 1 whose means are `distance` apart.
double gaussian_epsilon(double distance, double delta);

}  // namespace gossamer::testing

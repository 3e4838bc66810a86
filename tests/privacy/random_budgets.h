#pragma once

namespace gossamer::testing {

// Random (q, sigma, T, delta) number first ... last - 1: `pld` is at most `rdp` and, wherever the oracle can
// say (most of the time), never below the exact value nor a thousandth above it; both fall with sigma and
// rise with q and T.
void check_random_budgets(int first, int last);

}  // namespace gossamer::testing

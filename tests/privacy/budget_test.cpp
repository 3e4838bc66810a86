#include <gtest/gtest.h>

#include "tests/privacy/random_budgets.h"

TEST(Accountants, AgreeWithOneAnotherOnAFewBudgets) { gossamer::testing::check_random_budgets(0, 12); }

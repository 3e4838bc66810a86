#include <gtest/gtest.h>

#include "tests/privacy/random_budgets.h"

TEST(Accountants, AgreeWithOneAnotherOnAThousandBudgets) { gossamer::testing::check_random_budgets(0, 1000); }

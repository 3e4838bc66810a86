#include "privacy/privacy_ledger.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

#include "core/error.h"
#include "tests/privacy/make_accountant.h"
#include "tests/privacy/private_options.h"

namespace gossamer::testing {
namespace {

using ::testing::HasSubstr;

constexpr CountingPlan kEachClient{Counting::participations, 1, 10};
constexpr CountingPlan kEverybody{Counting::rounds, 3, 30};

using Clients = std::vector<ClientId>;

TEST(PrivacyLedger, CountsWhatTheClientWithTheMostTookPartIn) {
  PrivacyLedger ledger(private_options({}), kEachClient);
  EXPECT_EQ(ledger.epsilon(), 0);
  const std::vector<std::pair<Clients, std::uint64_t>> rounds{{{0, 1}, 1}, {{2, 1}, 2}, {{7}, 2},
                                                              {{0, 7}, 2}, {{}, 2},     {{7, 0}, 3}};
  Round round = 0;
  for (const auto& [clients, most] : rounds) {
    ledger.spend(++round, clients);
    EXPECT_EQ(ledger.epsilon(), epsilon_by("rdp", {NoiseKind::gaussian, 1, 1, most}, 1e-5));
  }
}

TEST(PrivacyLedger, CountsRoundsForEverybody) {
  const Options options = private_options({{"privacy.placement", "central"},
                                           {"privacy.accountant", "pld"},
                                           {"cohort.sampler", "poisson"},
                                           {"cohort.fraction", "0.2"}});
  PrivacyLedger ledger(options, kEverybody);
  for (Round round = 1; round <= 4; ++round) {
    ledger.spend_round(round);
    const PrivacyEvent event{NoiseKind::gaussian, 1, 0.2, static_cast<std::uint64_t>(3 * round)};
    EXPECT_EQ(ledger.epsilon(), epsilon_by("pld", event, 1e-5));
  }
}

TEST(PrivacyLedger, AParticipationHasTheStepsOfATraining) {
  const Options options = private_options({{"privacy.placement", "example"},
                                           {"privacy.sampling_rate", "0.05"},
                                           {"client.local_steps", "12"},
                                           {"privacy.delta", "1e-4"}});
  PrivacyLedger ledger(options, kEachClient);
  ledger.spend(1, Clients{4});
  ledger.spend(2, Clients{4});
  EXPECT_EQ(ledger.epsilon(), epsilon_by("rdp", {NoiseKind::gaussian, 1, 0.05, 24}, 1e-4));
}

TEST(PrivacyLedger, IsInfiniteWithoutNoise) {
  PrivacyLedger ledger(private_options({{"privacy.noise_multiplier", "0"}}), kEachClient);
  EXPECT_EQ(ledger.epsilon(), 0);
  ledger.spend(1, Clients{0});
  EXPECT_EQ(ledger.epsilon(), std::numeric_limits<double>::infinity());
}

TEST(PrivacyLedger, StopsEachClientBeforeTheTarget) {
  for (const Given& given : {Given{{"privacy.noise_multiplier", "4"}},
                             Given{{"privacy.mechanism", "laplace"}, {"privacy.noise_multiplier", "10"}}}) {
    Given all = given;
    all["privacy.target_epsilon"] = "2";
    PrivacyLedger ledger(private_options(all), kEachClient);
    Round round = 0;
    while (ledger.allows(Clients{3})) ledger.spend(++round, Clients{3});
    EXPECT_GT(round, 1);
    EXPECT_LE(ledger.epsilon(), 2);
    EXPECT_FALSE(ledger.allows(Clients{1, 3}));
    EXPECT_TRUE(ledger.allows(Clients{1, 2}));
    EXPECT_TRUE(ledger.allows(Clients{}));
    ledger.spend(++round, Clients{3});
    EXPECT_GT(ledger.epsilon(), 2);
  }
}

TEST(PrivacyLedger, StopsRoundsBeforeTheTarget) {
  PrivacyLedger ledger(private_options({{"privacy.target_epsilon", "8"}, {"privacy.noise_multiplier", "3"}}),
                       kEverybody);
  Round round = 0;
  while (ledger.allows_round()) ledger.spend_round(++round);
  EXPECT_GT(round, 1);
  EXPECT_LE(ledger.epsilon(), 8);
  ledger.spend_round(++round);
  EXPECT_GT(ledger.epsilon(), 8);
}

TEST(PrivacyLedger, WithoutATargetGoesOn) {
  PrivacyLedger ledger(private_options({}), kEachClient);
  for (Round round = 1; round < 1000; ++round) ledger.spend(round, Clients{0});
  EXPECT_TRUE(ledger.allows(Clients{0}));
  EXPECT_TRUE(PrivacyLedger(private_options({}), kEverybody).allows_round());
}

// Whatever was stored: the target holds for the whole run.
TEST(PrivacyLedger, GoesOnFromWhatWasStored) {
  const Options options =
      private_options({{"privacy.noise_multiplier", "4"}, {"privacy.target_epsilon", "2"}});
  PrivacyLedger ledger(options, kEachClient);
  std::string text = ledger.head();
  Round round = 0;
  while (ledger.allows(Clients{5})) {
    PrivacyLedger restored(options, kEachClient);
    EXPECT_EQ(restored.restore(text, "ledger"), text.size());
    EXPECT_EQ(restored.epsilon(), ledger.epsilon());
    EXPECT_TRUE(restored.allows(Clients{5}));
    ++round;
    text += ledger.spend(round, round % 2 == 0 ? Clients{5} : Clients{2, 5});
  }
  PrivacyLedger restored(options, kEachClient);
  restored.restore(text, "ledger");
  EXPECT_FALSE(restored.allows(Clients{5}));
  EXPECT_TRUE(restored.allows(Clients{2}));
  EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), round + 1);  // a line each
}

TEST(PrivacyLedger, RoundsGoOnFromWhatWasStored) {
  const Options options = private_options({});
  PrivacyLedger ledger(options, kEverybody);
  const std::string text = ledger.head() + ledger.spend_round(1) + ledger.spend_round(2);
  PrivacyLedger restored(options, kEverybody);
  EXPECT_EQ(restored.restore(text, "ledger"), text.size());
  EXPECT_EQ(restored.epsilon(), ledger.epsilon());
  EXPECT_EQ(restored.epsilon(), epsilon_by("rdp", {NoiseKind::gaussian, 1, 1, 6}, 1e-5));
}

TEST(PrivacyLedger, AnUnfinishedLineStandsForNothing) {
  const Options options = private_options({});
  PrivacyLedger ledger(options, kEachClient);
  const std::string whole = ledger.head() + ledger.spend(1, Clients{0, 1});
  const double spent = ledger.epsilon();
  const std::string next = ledger.spend(2, Clients{0, 1});
  for (std::size_t length = 0; length < next.size(); ++length) {
    PrivacyLedger restored(options, kEachClient);
    EXPECT_EQ(restored.restore(whole + next.substr(0, length), "ledger"), whole.size());
    EXPECT_EQ(restored.epsilon(), spent);
  }
  for (const std::size_t length : {std::size_t{0}, ledger.head().size() - 1}) {
    PrivacyLedger restored(options, kEachClient);
    EXPECT_EQ(restored.restore(ledger.head().substr(0, length), "ledger"), 0U);
  }
}

TEST(PrivacyLedger, RefusesTheLedgerOfOtherNoise) {
  const std::string foreign[] = {
      PrivacyLedger(private_options({{"privacy.noise_multiplier", "2"}}), kEachClient).head(),
      PrivacyLedger(private_options({{"privacy.delta", "1e-6"}}), kEachClient).head(),
      PrivacyLedger(private_options({{"privacy.mechanism", "laplace"}}), kEachClient).head(),
      PrivacyLedger(private_options({{"privacy.placement", "example"}, {"privacy.sampling_rate", "0.1"}}),
                    kEachClient)
          .head(),
      "\n",
      "{}\n"};
  for (const std::string& head : foreign) {
    PrivacyLedger ledger(private_options({}), kEachClient);
    try {
      ledger.restore(head, "runs/a/privacy_ledger.jsonl");
      ADD_FAILURE() << head;
    } catch (const FileError& e) {
      EXPECT_THAT(e.what(), HasSubstr("runs/a/privacy_ledger.jsonl: the ledger of a run with other noise"));
    }
  }
}

TEST(PrivacyLedger, RefusesLinesThatAreNotItsOwn) {
  const std::string head = PrivacyLedger(private_options({}), kEachClient).head();
  for (const char* line : {"\n", "nonsense\n", "{}\n", "[]\n", "{\"round\":1,\"clients\":[-1]}\n",
                           "{\"round\":1,\"clients\":[1.5]}\n", "{\"round\":1,\"clients\":[99999999999]}\n",
                           "{\"round\":1,\"clients\":[\"a\"]}\n", "{\"round\":1,\"releases\":-3}\n",
                           "{\"round\":1,\"releases\":\"1\"}\n", "{\"round\":1,\"releases\":1.5}\n"}) {
    PrivacyLedger ledger(private_options({}), kEachClient);
    EXPECT_THROW(ledger.restore(head + line, "ledger"), FileError) << line;
  }
}

}  // namespace
}  // namespace gossamer::testing

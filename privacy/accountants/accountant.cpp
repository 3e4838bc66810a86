#include "privacy/accountants/accountant.h"

#include <cmath>
#include <cstring>

#include "core/error.h"
#include "core/text.h"

namespace gossamer {
namespace {

constexpr std::uint64_t kMostSteps = 1'000'000'000'000;

struct LedgerEntry {
  std::uint64_t mechanism;
  double noise_multiplier;
  double sampling_rate;
  std::uint64_t steps;
};
static_assert(sizeof(LedgerEntry) == 32);

bool is_noise(std::uint64_t number) {
  return number >= static_cast<std::uint64_t>(NoiseKind::gaussian) &&
         number <= static_cast<std::uint64_t>(NoiseKind::pure);
}

void check_event(const PrivacyEvent& event) {
  if (!(event.noise_multiplier >= kLeastNoiseMultiplier) || !std::isfinite(event.noise_multiplier))
    throw ConfigError("noise_multiplier = " + shortest(event.noise_multiplier) + ": expected at least " +
                      shortest(kLeastNoiseMultiplier) + "; without noise there is no guarantee");
  if (!(event.sampling_rate > 0 && event.sampling_rate <= 1))
    throw ConfigError("sampling_rate = " + shortest(event.sampling_rate) +
                      ": expected a number above 0 and at most 1");
  if (event.steps > kMostSteps)
    throw ConfigError("steps = " + std::to_string(event.steps) + ": expected at most " +
                      std::to_string(kMostSteps));
}

bool same_release(const PrivacyEvent& a, const PrivacyEvent& b) {
  return a.mechanism == b.mechanism && a.noise_multiplier == b.noise_multiplier &&
         a.sampling_rate == b.sampling_rate;
}

}  // namespace

const char* name_of(NoiseKind noise) noexcept {
  switch (noise) {
    case NoiseKind::gaussian:
      return "gaussian";
    case NoiseKind::laplace:
      return "laplace";
    case NoiseKind::pure:
      return "pure";
  }
  return "";
}

void PrivacyAccountant::add(const PrivacyEvent& event) {
  check_event(event);
  if (event.steps == 0) return;
  if (!ledger_.empty() && same_release(ledger_.back(), event) &&
      ledger_.back().steps <= kMostSteps - event.steps) {
    ledger_.back().steps += event.steps;
  } else {
    ledger_.push_back(event);
  }
  spend(event);
}

std::vector<std::byte> PrivacyAccountant::save() const {
  std::vector<std::byte> bytes(ledger_.size() * sizeof(LedgerEntry));
  std::byte* out = bytes.data();
  for (const PrivacyEvent& event : ledger_) {
    const LedgerEntry entry{static_cast<std::uint64_t>(event.mechanism), event.noise_multiplier,
                            event.sampling_rate, event.steps};
    std::memcpy(out, &entry, sizeof entry);
    out += sizeof entry;
  }
  return bytes;
}

void PrivacyAccountant::restore(std::span<const std::byte> bytes) {
  if (bytes.size() % sizeof(LedgerEntry) != 0)
    throw FileError("privacy ledger: " + std::to_string(bytes.size()) + " bytes; expected a multiple of " +
                    std::to_string(sizeof(LedgerEntry)));
  std::vector<PrivacyEvent> events(bytes.size() / sizeof(LedgerEntry));
  for (std::size_t i = 0; i < events.size(); ++i) {
    LedgerEntry entry;
    std::memcpy(&entry, bytes.data() + i * sizeof entry, sizeof entry);
    try {
      if (!is_noise(entry.mechanism)) throw ConfigError("mechanism: none that is known");
      events[i] = {static_cast<NoiseKind>(entry.mechanism), entry.noise_multiplier, entry.sampling_rate,
                   entry.steps};
      if (entry.steps == 0) throw ConfigError("steps = 0: expected at least 1");
      check_event(events[i]);
    } catch (const ConfigError& error) {
      throw FileError("privacy ledger, entry " + std::to_string(i) + ": " + error.what());
    }
  }
  forget();
  ledger_.clear();
  for (const PrivacyEvent& event : events) add(event);
}

}  // namespace gossamer

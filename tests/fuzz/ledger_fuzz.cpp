// Whatever the bytes are, a privacy ledger is read or refused with FileError, and what was read is written
// again as it was.
#include <cstdint>
#include <cstdlib>

#include "core/error.h"
#include "privacy/accountants/accountant.h"

namespace {

// What costs time is not what reads.
class LedgerOnly final : public gossamer::PrivacyAccountant {
 public:
  double epsilon(double) const override { return 0; }
  double delta(double) const override { return 0; }
  std::string explain(double) const override { return {}; }
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  LedgerOnly first, second;
  try {
    first.restore(std::as_bytes(std::span(data, size)));
  } catch (const gossamer::FileError&) {
    return 0;
  }
  second.restore(first.save());
  if (second.save() != first.save()) std::abort();
  return 0;
}

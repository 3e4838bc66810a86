// Every update counts the same, however old.
#include "server/staleness/methods.h"

namespace gossamer {
namespace {

class Constant final : public StalenessWeight {
 public:
  double of(Round) const override { return 1; }
};

}  // namespace

std::unique_ptr<StalenessWeight> make_constant_weight(const Options&) { return std::make_unique<Constant>(); }

}  // namespace gossamer

// No filter: 32-bit floats, sent from where they lie.
#include "compression/methods.h"
#include "server/filters/methods.h"

namespace gossamer {
namespace {

class NoFilter final : public UpdateFilter {
 public:
  Compressed pass(FloatBuffer update, std::span<const float>, Round) override {
    const SharedFloats values = SharedFloats::of(std::move(update));
    return {values.size(), {values.owner, std::as_bytes(values.values)}};
  }
  std::unique_ptr<Compressor> codec() const override { return make_no_compressor(0); }
};

}  // namespace

std::unique_ptr<UpdateFilter> make_no_filter(const Options&) { return std::make_unique<NoFilter>(); }

}  // namespace gossamer

// No filter: 32-bit floats, sent from where they lie.
#include "compression/methods.h"
#include "server/filters/methods.h"

namespace gossamer {
namespace {

class NoFilter final : public UpdateFilter {
 public:
  explicit NoFilter(const Options& options) : codec_(make_no_compressor(options)), options_(options) {}

  Compressed pass(FloatBuffer update, std::span<const float>, Round) override {
    Rng unused(0, Purpose::compression);
    return codec_->compress(SharedFloats::of(std::move(update)), unused);
  }
  std::unique_ptr<Compressor> codec() const override { return make_no_compressor(options_); }

 private:
  std::unique_ptr<Compressor> codec_;
  const Options options_;
};

}  // namespace

std::unique_ptr<UpdateFilter> make_no_filter(const Options& options) {
  return std::make_unique<NoFilter>(options);
}

}  // namespace gossamer

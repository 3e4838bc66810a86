#include "privacy/clipper.h"

#include "privacy/clip.h"
#include "privacy/privacy_plan.h"

namespace gossamer {
namespace {

class NoClipper final : public Clipper {
  void bound(Update&, double) override {}
  bool reads_values() const noexcept override { return false; }
};

// Of an update that the trainer made private.
class Concealer final : public Clipper {
 public:
  explicit Concealer(std::size_t parameters) : parameters_(parameters) {}

 private:
  void bound(Update& update, double) override { conceal(update, parameters_); }

  std::size_t parameters_;
};

}  // namespace

std::unique_ptr<Clipper> make_clipper(const Options& options, const ParameterLayout& layout) {
  switch (privacy_plan(options).placement) {
    case Placement::none:
      return std::make_unique<NoClipper>();
    case Placement::example:
      return std::make_unique<Concealer>(layout.parameter_count());
    default:
      return clippers().make(options, layout);
  }
}

}  // namespace gossamer

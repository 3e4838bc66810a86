// Buffered asynchronous aggregation (Nguyen, Malik, Zhan, Yousefpour, Rabbat, Malek, Huba: "Federated
// learning with buffered asynchronous aggregation", AISTATS 2022): the mean of every K updates makes a new
// model version; clients keep training on old versions meanwhile.
#include "server/sync/methods.h"

namespace gossamer {
namespace {

class Buffered final : public SyncPolicy {
 public:
  explicit Buffered(const Options& options) : size_(options.integer("sync.buffer")) {}

  bool ready(const Progress& progress) const override { return progress.applied > 0; }
  bool apply(const Progress& progress) const override { return progress.pending >= size_; }
  double denominator(const Progress&) const override { return static_cast<double>(size_); }

 private:
  std::int64_t size_;
};

}  // namespace

std::unique_ptr<SyncPolicy> make_buffered(const Options& options) {
  return std::make_unique<Buffered>(options);
}

}  // namespace gossamer

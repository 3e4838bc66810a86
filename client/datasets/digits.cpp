// The embedded data set: handwritten-like digits that are drawn when they are asked for. A client is a stream
// of random numbers, so a million clients need no storage. Under `natural` a client is one writer; elsewhere
// every digit is by a writer of its own. The test digits are by further writers.
#include <mutex>

#include "client/datasets/data_options.h"
#include "client/datasets/digit_strokes.h"
#include "client/datasets/example_sets.h"
#include "client/datasets/methods.h"

namespace gossamer {
namespace {

ExampleShape digit_shape() {
  ExampleShape shape;
  shape.features = {1, kDigitSide, kDigitSide};
  shape.classes = kDigitClasses;
  return shape;
}

// Digits as they are drawn.
class Sheet {
 public:
  explicit Sheet(std::int64_t digits)
      : pixels_{std::vector<std::uint8_t>(static_cast<std::size_t>(digits) * kDigitPixels), 0} {
    labels_.reserve(static_cast<std::size_t>(digits));
  }

  void draw(int digit, const WriterStyle& style, Rng& rng) {
    const auto place = std::span(pixels_.bytes).subspan(labels_.size() * kDigitPixels);
    draw_digit(digit, style, rng, place.first<kDigitPixels>());
    labels_.push_back(digit);
  }

  std::shared_ptr<const ExampleSet> finish() {
    return std::make_shared<const PixelExamples>(digit_shape(), std::move(pixels_), std::move(labels_));
  }

 private:
  PixelBytes pixels_;
  std::vector<std::int32_t> labels_;
};

class Digits final : public FederatedData {
 public:
  explicit Digits(const Options& options)
      : seed_(static_cast<std::uint64_t>(options.integer("run.seed"))),
        clients_(options.integer("data.clients")),
        samples_per_client_(options.integer("data.digits.samples_per_client")),
        test_samples_(options.integer("data.digits.test_samples")),
        partition_(partitions().make(options)) {}

  const ExampleShape& shape() const override { return shape_; }
  std::int64_t clients() const override { return clients_; }
  std::int64_t examples(ClientId client) const override {
    return partition_->draw_size(seed_, client, samples_per_client_);
  }

  std::shared_ptr<const ExampleSet> client(ClientId client) const override {
    const auto number = static_cast<std::uint64_t>(client);
    const auto labels = partition_->draw_labels(seed_, client, examples(client), kDigitClasses);
    Rng style_rng(seed_, Purpose::digits_style, number);
    Rng rng(seed_, Purpose::digits_sample, number);
    WriterStyle style = draw_style(style_rng);
    Sheet sheet(static_cast<std::int64_t>(labels.size()));
    for (std::uint8_t label : labels) {
      if (!partition_->one_source()) style = draw_style(style_rng);
      sheet.draw(label, style, rng);
    }
    return sheet.finish();
  }

  std::shared_ptr<const ExampleSet> test() const override {
    std::call_once(test_drawn_, [this] { test_ = draw_test(); });
    return test_;
  }

 private:
  // Each test writer writes every digit once.
  std::shared_ptr<const ExampleSet> draw_test() const {
    Sheet sheet(test_samples_);
    for (std::int64_t i = 0; i < test_samples_; i += kDigitClasses) {
      Rng rng(seed_, Purpose::digits_test, static_cast<std::uint64_t>(i / kDigitClasses));
      const WriterStyle style = draw_style(rng);
      for (int digit = 0; digit < kDigitClasses && i + digit < test_samples_; ++digit)
        sheet.draw(digit, style, rng);
    }
    return sheet.finish();
  }

  ExampleShape shape_ = digit_shape();
  std::uint64_t seed_;
  std::int64_t clients_;
  std::int64_t samples_per_client_;
  std::int64_t test_samples_;
  std::unique_ptr<Partition> partition_;
  mutable std::once_flag test_drawn_;
  mutable std::shared_ptr<const ExampleSet> test_;
};

}  // namespace

std::unique_ptr<FederatedData> make_digits(const Options& options) {
  return std::make_unique<Digits>(options);
}

}  // namespace gossamer

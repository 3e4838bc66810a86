// Krizhevsky: "Learning multiple layers of features from tiny images", 2009; the binary version of its files.
#include "client/datasets/cifar.h"

#include <string>

#include "client/datasets/data_file.h"
#include "client/datasets/data_options.h"
#include "client/datasets/example_sets.h"
#include "client/datasets/methods.h"

namespace gossamer {
namespace {

constexpr std::size_t kPixels = std::size_t{3} * 32 * 32;
constexpr std::size_t kRecord = 1 + kPixels;
constexpr std::size_t kMostRecords = 10'000;
constexpr int kClasses = 10;

}  // namespace

void parse_cifar10_batch(std::string_view file, std::span<const std::byte> bytes,
                         std::vector<std::uint8_t>& pixels, std::vector<std::int32_t>& labels) {
  const std::size_t records = bytes.size() / kRecord;
  if (bytes.empty()) refuse_file(file, 0, "empty; expected records of 3073 bytes");
  if (bytes.size() % kRecord != 0) {
    refuse_file(
        file, records * kRecord,
        "a record of " + std::to_string(bytes.size() % kRecord) + " bytes; expected records of 3073 bytes");
  }
  if (records > kMostRecords) {
    refuse_file(file, kMostRecords * kRecord,
                std::to_string(records) + " records; expected at most " + std::to_string(kMostRecords));
  }
  for (std::size_t i = 0; i < records; ++i) {
    const int label = std::to_integer<int>(bytes[i * kRecord]);
    if (label >= kClasses)
      refuse_file(file, i * kRecord, "label " + std::to_string(label) + "; expected 0 to 9");
  }
  pixels.reserve(pixels.size() + records * kPixels);
  for (std::size_t i = 0; i < records; ++i) {
    labels.push_back(std::to_integer<std::int32_t>(bytes[i * kRecord]));
    const auto* begin = reinterpret_cast<const std::uint8_t*>(bytes.data()) + i * kRecord + 1;
    pixels.insert(pixels.end(), begin, begin + kPixels);
  }
}

std::unique_ptr<FederatedData> make_cifar10(const Options& options) {
  std::filesystem::path folder = data_path(options, "cifar10");
  // The folder of the published archive.
  std::error_code ignored;
  if (std::filesystem::is_directory(folder / "cifar-10-batches-bin", ignored))
    folder /= "cifar-10-batches-bin";
  const auto load = [&](const std::vector<std::string>& names) {
    PixelBytes pixels;
    std::vector<std::int32_t> labels;
    for (const std::string& name : names) {
      const auto file = find_data_file(
          folder, name, "scripts/get_data.sh cifar10 DIR downloads it, data.path = DIR names the folder");
      const auto bytes = read_data_file(file, kMostRecords * kRecord);
      pixels.bytes.reserve(names.size() * bytes.size() / kRecord * kPixels);
      parse_cifar10_batch(file.string(), std::as_bytes(std::span(bytes)), pixels.bytes, labels);
    }
    ExampleShape shape;
    shape.features = {3, 32, 32};
    return std::make_shared<const PixelExamples>(std::move(shape), std::move(pixels), std::move(labels));
  };
  const auto train = load(
      {"data_batch_1.bin", "data_batch_2.bin", "data_batch_3.bin", "data_batch_4.bin", "data_batch_5.bin"});
  return divide_labelled(options, "cifar10", train, train->labels(), load({"test_batch.bin"}));
}

}  // namespace gossamer

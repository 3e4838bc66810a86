// The format is described at the end of LeCun, Cortes, Burges: "The MNIST database of handwritten digits".
#include "client/datasets/idx.h"

#include <string>

#include "client/datasets/data_file.h"
#include "client/datasets/data_options.h"
#include "client/datasets/example_sets.h"
#include "client/datasets/methods.h"

namespace gossamer {
namespace {

constexpr std::uint64_t kMostIdxBytes = std::uint64_t{1}
                                        << 30U;  // EMNIST, the largest of the family, has 0.55 GB
constexpr std::int64_t kMostSide = 4096;

std::uint32_t big_endian(std::span<const std::byte> bytes, std::size_t offset) {
  std::uint32_t value = 0;
  for (std::size_t i = 0; i < 4; ++i) value = value << 8U | std::to_integer<std::uint32_t>(bytes[offset + i]);
  return value;
}

void check_header(std::string_view file, std::span<const std::byte> bytes, unsigned dimensions,
                  const std::string& what) {
  const std::size_t header = 4 + std::size_t{4} * dimensions;
  if (bytes.empty()) refuse_file(file, 0, "empty; expected an IDX file of " + what);
  if (bytes.size() < header) {
    refuse_file(file, bytes.size(), "truncated within the " + std::to_string(header) + "-byte header");
  }
  const std::uint32_t expected = 0x0800U + dimensions;
  const std::uint32_t magic = big_endian(bytes, 0);
  if (magic != expected) {
    refuse_file(file, 0,
                "magic number " + std::to_string(magic) + "; expected " + std::to_string(expected) +
                    " (an IDX file of " + what + ")");
  }
}

// Requires that count * each cannot overflow 64 bits.
void check_content(std::string_view file, std::span<const std::byte> bytes, std::size_t header,
                   std::uint64_t count, std::uint64_t each, const std::string& what) {
  if (count == 0) refuse_file(file, 4, "no " + what);
  const std::uint64_t expected = count * each;
  const std::uint64_t held = bytes.size() - header;
  if (held == expected) return;
  const std::string claim = "the header claims " + std::to_string(count) + " " + what + " of " +
                            std::to_string(each) + " bytes, and " + std::to_string(held) + " bytes follow";
  refuse_file(file, held < expected ? bytes.size() : header + expected,
              (held < expected ? "truncated: " : "too long: ") + claim);
}

std::unique_ptr<FederatedData> make_idx(const Options& options, const std::string& name) {
  const std::filesystem::path folder = data_path(options, name);
  const std::string hint =
      "scripts/get_data.sh " + name + " DIR downloads it, data.path = DIR names the folder";
  const auto load = [&](const std::string& part) {
    const auto image_file = find_data_file(folder, part + "-images-idx3-ubyte", hint);
    const auto label_file = find_data_file(folder, part + "-labels-idx1-ubyte", hint);
    ExampleShape shape;
    PixelBytes pixels{read_data_file(image_file, kMostIdxBytes), 0};
    const IdxImages images = parse_idx_images(image_file.string(), std::as_bytes(std::span(pixels.bytes)));
    pixels.offset = images.offset;
    shape.features = {1, images.height, images.width};
    const auto label_bytes = read_data_file(label_file, kMostIdxBytes);
    auto labels = parse_idx_labels(label_file.string(), std::as_bytes(std::span(label_bytes)), shape.classes);
    if (static_cast<std::int64_t>(labels.size()) != images.count) {
      refuse_file(label_file.string(), 4,
                  std::to_string(labels.size()) + " labels for the " + std::to_string(images.count) +
                      " images of " + image_file.string());
    }
    return std::make_shared<const PixelExamples>(std::move(shape), std::move(pixels), std::move(labels));
  };
  const auto train = load("train");
  const auto test = load("t10k");
  if (train->shape().features != test->shape().features) {
    throw FileError(find_data_file(folder, "t10k-images-idx3-ubyte", hint).string() +
                    ": offset 8: images of another size than the training images");
  }
  return divide_labelled(options, name, train, train->labels(), test);
}

}  // namespace

IdxImages parse_idx_images(std::string_view file, std::span<const std::byte> bytes) {
  constexpr std::size_t kHeader = 16;
  check_header(file, bytes, 3, "images");
  IdxImages images{big_endian(bytes, 4), big_endian(bytes, 8), big_endian(bytes, 12), kHeader};
  if (images.height < 1 || images.height > kMostSide || images.width < 1 || images.width > kMostSide) {
    refuse_file(file, 8,
                "images of " + std::to_string(images.height) + " x " + std::to_string(images.width) +
                    " pixels; expected 1 to " + std::to_string(kMostSide) + " a side");
  }
  check_content(file, bytes, kHeader, static_cast<std::uint64_t>(images.count),
                static_cast<std::uint64_t>(images.height * images.width), "images");
  return images;
}

std::vector<std::int32_t> parse_idx_labels(std::string_view file, std::span<const std::byte> bytes,
                                           std::int64_t classes) {
  constexpr std::size_t kHeader = 8;
  check_header(file, bytes, 1, "labels");
  check_content(file, bytes, kHeader, big_endian(bytes, 4), 1, "labels");
  std::vector<std::int32_t> labels;
  labels.reserve(bytes.size() - kHeader);
  for (std::byte label : bytes.subspan(kHeader)) {
    if (std::to_integer<std::int64_t>(label) >= classes) {
      refuse_file(file, kHeader + labels.size(),
                  "label " + std::to_string(std::to_integer<int>(label)) + "; expected 0 to " +
                      std::to_string(classes - 1));
    }
    labels.push_back(std::to_integer<std::int32_t>(label));
  }
  return labels;
}

std::unique_ptr<FederatedData> make_mnist(const Options& options) { return make_idx(options, "mnist"); }
std::unique_ptr<FederatedData> make_fashion_mnist(const Options& options) {
  return make_idx(options, "fashion_mnist");
}

}  // namespace gossamer

// Four array files: x_train.npy, y_train.npy, x_test.npy, y_test.npy. The format: NumPy enhancement
// proposal 1.
#include "client/datasets/npy.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <cstring>
#include <memory>
#include <string>
#include <utility>

#include "client/datasets/data_file.h"
#include "client/datasets/data_options.h"
#include "client/datasets/example_sets.h"
#include "client/datasets/methods.h"

namespace gossamer {
namespace {

constexpr std::uint64_t kMostNpyBytes = std::uint64_t{1} << 33U;
constexpr std::uint64_t kMostValues = std::uint64_t{1} << 40U;
constexpr std::size_t kMostHeader = 65'536;
constexpr std::size_t kMostExtents = 5;
constexpr std::string_view kMagic{"\x93NUMPY", 6};

struct TypeName {
  std::string_view descr;
  NpyType type;
  std::size_t bytes;
};
constexpr std::array<TypeName, 5> kTypes{{{"|u1", NpyType::uint8, 1},
                                          {"<i4", NpyType::int32, 4},
                                          {"<i8", NpyType::int64, 8},
                                          {"<f4", NpyType::float32, 4},
                                          {"<f8", NpyType::float64, 8}}};

std::size_t value_size(NpyType type) { return std::ranges::find(kTypes, type, &TypeName::type)->bytes; }

// Reads the header, a Python dictionary with three known keys.
class HeaderParser {
 public:
  HeaderParser(std::string_view file, std::string_view text, std::size_t offset)
      : file_(file), text_(text), offset_(offset) {}

  void parse(NpyArray& array) {
    bool has_type = false;
    bool has_order = false;
    bool has_shape = false;
    expect('{');
    while (!accept('}')) {
      const std::string_view key = quoted();
      expect(':');
      if (key == "descr") {
        array.type = type();
        has_type = true;
      } else if (key == "fortran_order") {
        order();
        has_order = true;
      } else if (key == "shape") {
        array.shape = shape();
        has_shape = true;
      } else {
        refuse("an unknown key; expected descr, fortran_order and shape");
      }
      if (!accept(',')) {
        expect('}');
        break;
      }
    }
    if (!has_type || !has_order || !has_shape) refuse("lacks descr, fortran_order or shape");
  }

 private:
  [[noreturn]] void refuse(const std::string& reason) const {
    refuse_file(file_, offset_ + at_, "header: " + reason);
  }

  void skip_spaces() {
    while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\n')) ++at_;
  }

  bool accept(char c) {
    skip_spaces();
    if (at_ == text_.size() || text_[at_] != c) return false;
    ++at_;
    return true;
  }

  void expect(char c) {
    if (!accept(c)) refuse(std::string("expected '") + c + "'");
  }

  std::string_view quoted() {
    skip_spaces();
    const char quote = at_ < text_.size() ? text_[at_] : ' ';
    const std::size_t end =
        quote == '\'' || quote == '"' ? text_.find(quote, at_ + 1) : std::string_view::npos;
    if (end == std::string_view::npos) refuse("expected a quoted word");
    const std::string_view word = text_.substr(at_ + 1, end - at_ - 1);
    at_ = end + 1;
    return word;
  }

  NpyType type() {
    skip_spaces();
    const std::size_t before = at_;
    const std::string_view descr = quoted();
    const auto found = std::ranges::find(kTypes, descr, &TypeName::descr);
    if (found == kTypes.end()) {
      at_ = before;
      refuse(
          "an array type that is not read; expected uint8, or little-endian int32, int64, float32 or "
          "float64");
    }
    return found->type;
  }

  void order() {
    skip_spaces();
    if (text_.substr(at_, 5) != "False")
      refuse("expected fortran_order False (save it with numpy.ascontiguousarray)");
    at_ += 5;
  }

  std::vector<std::int64_t> shape() {
    std::vector<std::int64_t> extents;
    expect('(');
    while (!accept(')')) {
      skip_spaces();
      std::int64_t extent = 0;
      const auto [end, status] = std::from_chars(text_.data() + at_, text_.data() + text_.size(), extent);
      if (status != std::errc{} || extent < 1) refuse("expected an extent of at least 1");
      at_ = static_cast<std::size_t>(end - text_.data());
      if (extents.size() == kMostExtents)
        refuse("expected at most " + std::to_string(kMostExtents) + " dimensions");
      extents.push_back(extent);
      if (!accept(',')) {
        expect(')');
        break;
      }
    }
    if (extents.empty()) refuse("expected at least one dimension");
    return extents;
  }

  std::string_view file_;
  std::string_view text_;
  std::size_t offset_;
  std::size_t at_ = 0;
};

template <class T>
T value_at(const NpyArray& array, std::span<const std::byte> bytes, std::size_t i) {
  T value;
  std::memcpy(&value, bytes.data() + array.offset + i * sizeof(T), sizeof(T));
  return value;
}

template <class T>
std::vector<float> read_floats(std::string_view file, const NpyArray& array,
                               std::span<const std::byte> bytes) {
  std::vector<float> values((bytes.size() - array.offset) / sizeof(T));
  for (std::size_t i = 0; i < values.size(); ++i) {
    values[i] = static_cast<float>(value_at<T>(array, bytes, i));
    if (!std::isfinite(values[i])) {
      refuse_file(file, array.offset + i * sizeof(T),
                  "value " + std::to_string(i) + " is not a finite 32-bit float");
    }
  }
  return values;
}

template <class T>
std::vector<std::int32_t> read_labels(std::string_view file, const NpyArray& array,
                                      std::span<const std::byte> bytes) {
  std::vector<std::int32_t> labels((bytes.size() - array.offset) / sizeof(T));
  for (std::size_t i = 0; i < labels.size(); ++i) {
    const auto label = static_cast<std::int64_t>(value_at<T>(array, bytes, i));
    if (label < 0 || label >= kMostClasses) {
      refuse_file(file, array.offset + i * sizeof(T),
                  "label " + std::to_string(label) + "; expected 0 to " + std::to_string(kMostClasses - 1));
    }
    labels[i] = static_cast<std::int32_t>(label);
  }
  return labels;
}

// Features and labels of one part, before the number of classes is known.
struct Part {
  ExampleShape shape;
  PixelBytes pixels;
  std::vector<float> values;
  std::vector<std::int32_t> labels;
};

Part load_part(const std::filesystem::path& folder, const std::string& name) {
  const std::string hint = "data.path = DIR names the folder with x_train, y_train, x_test and y_test.npy";
  const auto x_file = find_data_file(folder, "x_" + name + ".npy", hint);
  const auto y_file = find_data_file(folder, "y_" + name + ".npy", hint);
  Part part;
  auto x_bytes = read_data_file(x_file, kMostNpyBytes);
  const NpyArray x = parse_npy(x_file.string(), std::as_bytes(std::span(x_bytes)));
  if (x.shape.size() < 2) {
    refuse_file(x_file.string(), 0,
                "one dimension; expected examples x features, or examples x channels x ...");
  }
  part.shape.features.assign(x.shape.begin() + 1, x.shape.end());
  if (part.shape.features.size() == 2)
    part.shape.features.insert(part.shape.features.begin(), 1);  // one channel
  if (x.type == NpyType::uint8) {
    part.pixels = {std::move(x_bytes), x.offset};
  } else {
    part.shape.kind = FeatureKind::reals;
    part.values = npy_floats(x_file.string(), x, std::as_bytes(std::span(x_bytes)));
  }
  const auto y_bytes = read_data_file(y_file, kMostNpyBytes);
  const NpyArray y = parse_npy(y_file.string(), std::as_bytes(std::span(y_bytes)));
  part.labels = npy_labels(y_file.string(), y, std::as_bytes(std::span(y_bytes)));
  if (std::cmp_not_equal(part.labels.size(), x.shape[0])) {
    refuse_file(y_file.string(), 0,
                std::to_string(part.labels.size()) + " labels for the " + std::to_string(x.shape[0]) +
                    " examples of " + x_file.string());
  }
  return part;
}

// Format version 1: the header is filled up so that the values begin at a multiple of 64.
std::string npy_file(const std::string& type, const std::vector<std::int64_t>& shape,
                     std::span<const std::byte> values) {
  std::string extents;
  for (const std::int64_t extent : shape) extents += std::to_string(extent) + ", ";
  std::string header = "{'descr': '" + type + "', 'fortran_order': False, 'shape': (" + extents + "), }";
  constexpr std::size_t kBefore = 10;
  header.resize((kBefore + header.size() + 64) / 64 * 64 - kBefore - 1, ' ');
  header += '\n';
  std::string text(kMagic);
  text += {'\x01', '\0', static_cast<char>(header.size() % 256), static_cast<char>(header.size() / 256)};
  text += header;
  text.append(reinterpret_cast<const char*>(values.data()), values.size());
  return text;
}

std::shared_ptr<const ExampleSet> make_examples(Part part) {
  if (part.shape.kind == FeatureKind::pixels) {
    return std::make_shared<const PixelExamples>(std::move(part.shape), std::move(part.pixels),
                                                 std::move(part.labels));
  }
  return std::make_shared<const RealExamples>(std::move(part.shape), std::move(part.values),
                                              std::move(part.labels));
}

}  // namespace

NpyArray parse_npy(std::string_view file, std::span<const std::byte> bytes) {
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  if (text.empty()) refuse_file(file, 0, "empty; expected a NumPy array file");
  if (!text.starts_with(kMagic)) refuse_file(file, 0, "not a NumPy array file");
  const unsigned version = text.size() > 6 ? static_cast<unsigned char>(text[6]) : 0U;
  if (version < 1 || version > 3) {
    refuse_file(file, 6, "format version " + std::to_string(version) + "; expected 1 to 3");
  }
  const std::size_t length_bytes = version == 1 ? 2 : 4;
  const std::size_t start = 8 + length_bytes;
  if (text.size() < start) refuse_file(file, text.size(), "truncated within the header");
  std::size_t length = 0;
  for (std::size_t i = 0; i < length_bytes; ++i) {
    length |= std::size_t{static_cast<unsigned char>(text[8 + i])} << (8 * i);
  }
  if (length > kMostHeader || length > text.size() - start) {
    refuse_file(
        file, 8,
        "a header of " + std::to_string(length) + " bytes; the file or what is accepted ends earlier");
  }
  NpyArray array;
  HeaderParser(file, text.substr(start, length), start).parse(array);
  array.offset = start + length;

  std::uint64_t values = 1;
  for (std::int64_t extent : array.shape) {
    if (static_cast<std::uint64_t>(extent) > kMostValues / values) {
      refuse_file(file, start, "header: more values than are accepted");
    }
    values *= static_cast<std::uint64_t>(extent);
  }
  const std::uint64_t expected = values * value_size(array.type);
  const std::uint64_t held = bytes.size() - array.offset;
  if (held != expected) {
    refuse_file(file, held < expected ? bytes.size() : array.offset + expected,
                std::string(held < expected ? "truncated" : "too long") + ": the header claims " +
                    std::to_string(expected) + " bytes of values, and " + std::to_string(held) + " follow");
  }
  return array;
}

std::vector<float> npy_floats(std::string_view file, const NpyArray& array,
                              std::span<const std::byte> bytes) {
  switch (array.type) {
    case NpyType::float32:
      return read_floats<float>(file, array, bytes);
    case NpyType::float64:
      return read_floats<double>(file, array, bytes);
    case NpyType::uint8:
    case NpyType::int32:
    case NpyType::int64:
      break;
  }
  refuse_file(file, 0, "features of an integer type; expected uint8, float32 or float64");
}

std::vector<std::int32_t> npy_labels(std::string_view file, const NpyArray& array,
                                     std::span<const std::byte> bytes) {
  if (array.shape.size() != 1) refuse_file(file, 0, "labels with several dimensions; expected one");
  switch (array.type) {
    case NpyType::uint8:
      return read_labels<std::uint8_t>(file, array, bytes);
    case NpyType::int32:
      return read_labels<std::int32_t>(file, array, bytes);
    case NpyType::int64:
      return read_labels<std::int64_t>(file, array, bytes);
    case NpyType::float32:
    case NpyType::float64:
      break;
  }
  refuse_file(file, 0, "labels of a real type; expected uint8, int32 or int64");
}

std::string npy_text(std::span<const float> values, const std::vector<std::int64_t>& shape) {
  return npy_file("<f4", shape, std::as_bytes(values));
}

std::string npy_text(std::span<const std::int32_t> labels) {
  return npy_file("<i4", {static_cast<std::int64_t>(labels.size())}, std::as_bytes(labels));
}

std::unique_ptr<FederatedData> make_npy(const Options& options) {
  const std::filesystem::path folder = data_path(options, "npy");
  Part train = load_part(folder, "train");
  Part test = load_part(folder, "test");
  if (train.shape.features != test.shape.features || train.shape.kind != test.shape.kind) {
    refuse_file((folder / "x_test.npy").string(), 0, "examples of another shape or kind than in x_train.npy");
  }
  const std::int64_t classes = std::max<std::int64_t>(
      2, std::int64_t{1} + std::max(std::ranges::max(train.labels), std::ranges::max(test.labels)));
  train.shape.classes = classes;
  test.shape.classes = classes;
  const std::vector<std::int32_t> labels = train.labels;
  return divide_labelled(options, "npy", make_examples(std::move(train)), labels,
                         make_examples(std::move(test)));
}

}  // namespace gossamer

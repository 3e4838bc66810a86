#pragma once

#include <gtest/gtest.h>
#include <unistd.h>
#include <zlib.h>

#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "client/datasets/data_options.h"
#include "core/error.h"

namespace gossamer::testing_data {

// The keys that data sets read, with `values` set.
inline Options data_options(const std::vector<std::pair<std::string, std::string>>& values) {
  auto schema = std::make_shared<OptionSchema>();
  schema->add(integer_option("run.seed", 1, ""));
  add_data_options(*schema);
  add_methods(*schema, datasets().describe());
  Options options(schema);
  for (const auto& [key, value] : values) options.set(key, value);
  options.check_methods();
  return options;
}

inline std::unique_ptr<FederatedData> make_data(
    const std::vector<std::pair<std::string, std::string>>& values) {
  return datasets().make(data_options(values));
}

// A folder that lives as long as the test.
class TempFolder {
 public:
  TempFolder() {
    std::string name = (std::filesystem::temp_directory_path() / "gossamer-data-XXXXXX").string();
    if (mkdtemp(name.data()) == nullptr) throw RunError("no temporary folder");
    path_ = name;
  }
  ~TempFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TempFolder(const TempFolder&) = delete;
  TempFolder& operator=(const TempFolder&) = delete;

  std::string path() const { return path_.string(); }
  std::string write(const std::string& name, std::string_view content) const {
    std::ofstream(path_ / name, std::ios::binary) << content;
    return (path_ / name).string();
  }
  std::string write_gz(const std::string& name, std::string_view content) const {
    const std::string file = (path_ / name).string();
    gzFile out = gzopen(file.c_str(), "wb");
    gzwrite(out, content.data(), static_cast<unsigned>(content.size()));
    gzclose(out);
    return file;
  }

 private:
  std::filesystem::path path_;
};

inline std::span<const std::byte> bytes_of(std::string_view text) { return std::as_bytes(std::span(text)); }

// What the FileError or ConfigError that `act` throws says.
template <class Refusal, class Act>
std::string refusal(Act act) {
  try {
    act();
  } catch (const Refusal& e) {
    return e.what();
  }
  return "accepted";
}

inline std::vector<std::int64_t> all_indices(const ExampleSet& set) {
  std::vector<std::int64_t> indices;
  for (std::int64_t i = 0; i < set.size(); ++i) indices.push_back(i);
  return indices;
}

struct Gathered {
  std::vector<float> features;
  std::vector<std::int64_t> labels;
};

inline Gathered gather(const ExampleSet& set, const std::vector<std::int64_t>& indices) {
  Gathered out;
  out.features.resize(indices.size() * static_cast<std::size_t>(set.shape().feature_count()));
  out.labels.resize(indices.size());
  set.gather(indices, out.features.data(), out.labels.data());
  return out;
}

inline Gathered gather_all(const ExampleSet& set) { return gather(set, all_indices(set)); }

// Where the real data lies: $GOSSAMER_DATA, else ../shared/data beside the repository.
inline std::filesystem::path real_data() {
  const char* root = std::getenv("GOSSAMER_DATA");
  return root != nullptr ? std::filesystem::path(root)
                         : std::filesystem::path(GOSSAMER_SOURCE_DIR) / "../shared/data";
}

inline std::string big_endian(std::uint32_t value) {
  return {static_cast<char>(value >> 24U), static_cast<char>(value >> 16U), static_cast<char>(value >> 8U),
          static_cast<char>(value)};
}

inline std::string idx_images(std::uint32_t count, std::uint32_t height, std::uint32_t width,
                              std::string_view pixels) {
  return big_endian(0x803) + big_endian(count) + big_endian(height) + big_endian(width) + std::string(pixels);
}

inline std::string idx_labels(std::uint32_t count, std::string_view labels) {
  return big_endian(0x801) + big_endian(count) + std::string(labels);
}

}  // namespace gossamer::testing_data

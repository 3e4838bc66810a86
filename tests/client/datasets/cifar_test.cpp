#include "client/datasets/cifar.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/client/datasets/support.h"

namespace gossamer {
namespace {

using ::testing::HasSubstr;
using testing_data::bytes_of;
using testing_data::gather_all;
using testing_data::Gathered;
using testing_data::make_data;
using testing_data::refusal;
using testing_data::TempFolder;

// A record whose red, green and blue planes are filled with label, 100 + label and 200 + label.
std::string record(int label) {
  std::string bytes(1, static_cast<char>(label));
  for (int plane = 0; plane < 3; ++plane) bytes.append(1024, static_cast<char>(plane * 100 + label));
  return bytes;
}

std::string batch_refusal(std::string_view bytes) {
  std::vector<std::uint8_t> pixels;
  std::vector<std::int32_t> labels;
  std::string reason = refusal<FileError>([&] { parse_cifar10_batch("f", bytes_of(bytes), pixels, labels); });
  EXPECT_TRUE(pixels.empty() && labels.empty());
  return reason;
}

TEST(Cifar10, Refusals) {
  EXPECT_THAT(batch_refusal(""), HasSubstr("f: offset 0: empty"));
  EXPECT_THAT(batch_refusal(record(1) + "abc"), HasSubstr("f: offset 3073: a record of 3 bytes"));
  EXPECT_THAT(batch_refusal(record(1) + record(10)), HasSubstr("f: offset 3073: label 10; expected 0 to 9"));
  EXPECT_THAT(batch_refusal(std::string(std::size_t{3073} * 10'001, '\0')), HasSubstr("10001 records"));
}

TEST(Cifar10, LoadsTheBatches) {
  const TempFolder folder;
  for (int i = 1; i <= 5; ++i)
    folder.write("data_batch_" + std::to_string(i) + ".bin", record(i) + record(i + 1));
  folder.write("test_batch.bin", record(9));
  const auto data =
      make_data({{"data.dataset", "cifar10"}, {"data.path", folder.path()}, {"data.clients", "2"}});
  EXPECT_EQ(data->shape().features, (std::vector<std::int64_t>{3, 32, 32}));
  EXPECT_EQ(data->examples(0) + data->examples(1), 10);
  for (ClientId k = 0; k < 2; ++k) {
    const Gathered part = gather_all(*data->client(k));
    for (std::size_t i = 0; i < part.labels.size(); ++i) {
      const auto label = static_cast<float>(part.labels[i]);
      EXPECT_FLOAT_EQ(part.features[i * 3072], label / 255);
      EXPECT_FLOAT_EQ(part.features[i * 3072 + 1024], (100 + label) / 255);
      EXPECT_FLOAT_EQ(part.features[i * 3072 + 3071], (200 + label) / 255);
    }
  }
  EXPECT_EQ(gather_all(*data->test()).labels, (std::vector<std::int64_t>{9}));
  std::filesystem::remove(folder.path() + "/data_batch_4.bin");
  EXPECT_THAT(refusal<FileError>([&] {
                make_data({{"data.dataset", "cifar10"}, {"data.path", folder.path()}});
              }),
              HasSubstr("data_batch_4.bin: no such file"));
}

TEST(Cifar10, FindsTheFolderOfTheArchive) {
  const TempFolder folder;
  std::filesystem::create_directory(folder.path() + "/cifar-10-batches-bin");
  for (const std::string name :
       {"data_batch_1", "data_batch_2", "data_batch_3", "data_batch_4", "data_batch_5", "test_batch"}) {
    folder.write("cifar-10-batches-bin/" + name + ".bin", record(3));
  }
  EXPECT_EQ(make_data({{"data.dataset", "cifar10"}, {"data.path", folder.path()}, {"data.clients", "5"}})
                ->examples(4),
            1);
}

}  // namespace
}  // namespace gossamer

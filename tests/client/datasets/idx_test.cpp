#include "client/datasets/idx.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <numeric>

#include "tests/client/datasets/support.h"

namespace gossamer {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using testing_data::all_indices;
using testing_data::big_endian;
using testing_data::bytes_of;
using testing_data::data_options;
using testing_data::gather;
using testing_data::gather_all;
using testing_data::Gathered;
using testing_data::idx_images;
using testing_data::idx_labels;
using testing_data::make_data;
using testing_data::refusal;
using testing_data::TempFolder;

std::string image_refusal(std::string_view bytes) {
  return refusal<FileError>([&] { parse_idx_images("f", bytes_of(bytes)); });
}

std::string label_refusal(std::string_view bytes) {
  return refusal<FileError>([&] { parse_idx_labels("f", bytes_of(bytes), 10); });
}

TEST(Idx, ParsesHeaders) {
  const IdxImages images = parse_idx_images("f", bytes_of(idx_images(2, 1, 3, "abcdef")));
  EXPECT_EQ(images.count, 2);
  EXPECT_EQ(images.height, 1);
  EXPECT_EQ(images.width, 3);
  EXPECT_EQ(images.offset, 16U);
  EXPECT_EQ(parse_idx_labels("f", bytes_of(idx_labels(3, std::string("\x00\x09\x04", 3))), 10),
            (std::vector<std::int32_t>{0, 9, 4}));
}

TEST(Idx, RefusalsNameFileOffsetAndReason) {
  EXPECT_THAT(image_refusal(""), HasSubstr("f: offset 0: empty"));
  EXPECT_THAT(image_refusal(big_endian(0x803)),
              HasSubstr("f: offset 4: truncated within the 16-byte header"));
  EXPECT_THAT(image_refusal(idx_labels(20, std::string(20, '\1'))),
              HasSubstr("f: offset 0: magic number 2049; expected 2051 (an IDX file of images)"));
  EXPECT_THAT(image_refusal(idx_images(0, 28, 28, "")), HasSubstr("f: offset 4: no images"));
  EXPECT_THAT(
      image_refusal(idx_images(2, 1, 3, "abcde")),
      HasSubstr("f: offset 21: truncated: the header claims 2 images of 3 bytes, and 5 bytes follow"));
  EXPECT_THAT(image_refusal(idx_images(2, 1, 3, "abcdefg")), HasSubstr("f: offset 22: too long"));
  EXPECT_THAT(image_refusal(idx_images(1, 0, 28, "")), HasSubstr("f: offset 8: images of 0 x 28"));
  EXPECT_THAT(image_refusal(idx_images(1, 5000, 1, "")), HasSubstr("f: offset 8: images of 5000 x 1"));
  EXPECT_THAT(label_refusal(idx_images(1, 1, 1, "a")), HasSubstr("magic number 2051; expected 2049"));
  EXPECT_THAT(label_refusal(idx_labels(2, "\1")), HasSubstr("truncated"));
  EXPECT_THAT(label_refusal(idx_labels(2, "\1\x0a")), HasSubstr("f: offset 9: label 10; expected 0 to 9"));
}

// The claim is compared with what is there; nothing of that size is allocated.
TEST(Idx, AHugeClaimIsRefused) {
  EXPECT_THAT(image_refusal(idx_images(0xFFFFFFFF, 4096, 4096, "abc")),
              HasSubstr("claims 4294967295 images"));
  EXPECT_THAT(label_refusal(idx_labels(0xFFFFFFFF, "abc")), HasSubstr("claims 4294967295 labels"));
}

class IdxFolder : public ::testing::Test {
 protected:
  IdxFolder() {
    std::string pixels;
    for (int i = 0; i < 6 * 4; ++i) pixels += static_cast<char>(i * 10);
    folder_.write("train-images-idx3-ubyte", idx_images(6, 2, 2, pixels));
    folder_.write("train-labels-idx1-ubyte", idx_labels(6, std::string("\0\1\2\3\4\5", 6)));
    folder_.write_gz("t10k-images-idx3-ubyte.gz", idx_images(1, 2, 2, std::string("\0\x33\x66\xFF", 4)));
    folder_.write_gz("t10k-labels-idx1-ubyte.gz", idx_labels(1, "\7"));
  }

  std::vector<std::pair<std::string, std::string>> keys(const std::string& clients = "3") const {
    return {{"data.dataset", "mnist"}, {"data.path", folder_.path()}, {"data.clients", clients}};
  }
  std::string load_refusal() const {
    return refusal<FileError>([&] { make_data(keys()); });
  }

  TempFolder folder_;
};

TEST_F(IdxFolder, LoadsPlainAndCompressedFiles) {
  const auto data = make_data(keys());
  EXPECT_EQ(data->clients(), 3);
  EXPECT_EQ(data->shape().features, (std::vector<std::int64_t>{1, 2, 2}));
  const Gathered test = gather_all(*data->test());
  EXPECT_EQ(test.features, (std::vector<float>{0.0F, 0.2F, 0.4F, 1.0F}));
  EXPECT_EQ(test.labels, (std::vector<std::int64_t>{7}));
  // Every training example is at one client, with its own label and pixels.
  std::vector<int> seen(6);
  for (ClientId k = 0; k < 3; ++k) {
    EXPECT_EQ(data->examples(k), 2);
    const auto client = data->client(k);
    const Gathered part = gather(*client, {1, 0, 1});
    EXPECT_EQ(part.labels[0], part.labels[2]);
    for (std::size_t i = 0; i < 2; ++i) {
      const auto label = static_cast<std::size_t>(part.labels[i]);
      ++seen[label];
      for (std::size_t p = 0; p < 4; ++p) {
        EXPECT_FLOAT_EQ(part.features[i * 4 + p], static_cast<float>((label * 4 + p) * 10 % 256) / 255.0F);
      }
    }
  }
  EXPECT_EQ(seen, (std::vector<int>{1, 1, 1, 1, 1, 1}));
}

TEST_F(IdxFolder, TokensAreNotGatheredFromPixels) {
  const auto data = make_data(keys());
  std::vector<std::int64_t> tokens(4);
  std::int64_t label = 0;
  const std::vector<std::int64_t> first{0};
  EXPECT_THROW(data->test()->gather(first, tokens.data(), &label), std::logic_error);
  EXPECT_THROW(data->client(0)->gather(first, tokens.data(), &label), std::logic_error);
}

TEST_F(IdxFolder, MoreClientsThanExamplesAreRefused) {
  EXPECT_THAT(refusal<ConfigError>([&] { make_data(keys("7")); }),
              HasSubstr("data.clients = 7: mnist has 6 training examples"));
}

TEST_F(IdxFolder, FilesThatDoNotBelongTogetherAreRefused) {
  folder_.write("train-labels-idx1-ubyte", idx_labels(5, "\1\1\1\1\1"));
  EXPECT_THAT(load_refusal(),
              AllOf(HasSubstr("train-labels-idx1-ubyte: offset 4: 5 labels for the 6 images")));
  folder_.write("train-labels-idx1-ubyte", idx_labels(6, "\1\1\1\1\1\1"));
  folder_.write_gz("t10k-images-idx3-ubyte.gz", idx_images(1, 1, 4, "abcd"));
  EXPECT_THAT(load_refusal(), HasSubstr("t10k-images-idx3-ubyte.gz: offset 8: images of another size"));
}

TEST_F(IdxFolder, AMissingFileIsNamedWithWhereToGetIt) {
  std::filesystem::remove(folder_.path() + "/t10k-labels-idx1-ubyte.gz");
  EXPECT_THAT(load_refusal(), AllOf(HasSubstr(folder_.path() + "/t10k-labels-idx1-ubyte: no such file"),
                                    HasSubstr("scripts/get_data.sh mnist DIR")));
}

TEST_F(IdxFolder, DamagedCompressionIsRefused) {
  std::ifstream in(folder_.path() + "/t10k-images-idx3-ubyte.gz", std::ios::binary);
  const std::string packed{std::istreambuf_iterator<char>(in), {}};
  folder_.write("t10k-images-idx3-ubyte.gz", packed.substr(0, packed.size() - 6));
  EXPECT_THAT(load_refusal(), HasSubstr("t10k-images-idx3-ubyte.gz: offset "));
  std::string flipped = packed;
  flipped[packed.size() - 7] ^= 1;  // in the checksum
  folder_.write("t10k-images-idx3-ubyte.gz", flipped);
  EXPECT_THAT(load_refusal(), HasSubstr("not a whole gzip file: incorrect data check"));
  folder_.write("t10k-images-idx3-ubyte.gz", "rubbish");
  EXPECT_THAT(load_refusal(), HasSubstr("t10k-images-idx3-ubyte.gz: offset 2: not a whole gzip file"));
  folder_.write("t10k-images-idx3-ubyte.gz", "");
  EXPECT_THAT(load_refusal(),
              HasSubstr("t10k-images-idx3-ubyte.gz: offset 0: the compressed data ends early"));
}

TEST(Mnist, RealFiles) {
  const auto folder = testing_data::real_data() / "mnist";
  if (!std::filesystem::exists(folder)) GTEST_SKIP() << "no MNIST in " << folder << " (GOSSAMER_DATA)";
  const auto data =
      make_data({{"data.dataset", "mnist"}, {"data.path", folder.string()}, {"data.clients", "100"}});
  EXPECT_EQ(data->examples(99), 600);
  const auto test = data->test();
  ASSERT_EQ(test->size(), 10'000);
  // The first test images of MNIST are 7 2 1 0 4; the mean grey of all of them is 0.1325.
  EXPECT_EQ(gather(*test, {0, 1, 2, 3, 4}).labels, (std::vector<std::int64_t>{7, 2, 1, 0, 4}));
  const Gathered all = gather_all(*test);
  EXPECT_NEAR(std::accumulate(all.features.begin(), all.features.end(), 0.0) / 7.84e6, 0.1325, 0.0001);
  std::vector<std::int64_t> counts(10);
  for (ClientId k = 0; k < 100; ++k) {
    for (std::int64_t label : gather_all(*data->client(k)).labels) ++counts[static_cast<std::size_t>(label)];
  }
  EXPECT_EQ(counts, (std::vector<std::int64_t>{5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949}));
}

TEST(Mnist, FoundThroughTheEnvironment) {
  const auto root = testing_data::real_data();
  if (!std::filesystem::exists(root / "mnist")) GTEST_SKIP() << "no MNIST in " << root << " (GOSSAMER_DATA)";
  ASSERT_EQ(setenv("GOSSAMER_DATA", root.c_str(), 1), 0);
  EXPECT_EQ(make_data({{"data.dataset", "mnist"}})->clients(), 100);
}

}  // namespace
}  // namespace gossamer

#include "client/datasets/npy.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>

#include "tests/client/datasets/support.h"

namespace gossamer {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing_data::bytes_of;
using testing_data::gather;
using testing_data::gather_all;
using testing_data::Gathered;
using testing_data::make_data;
using testing_data::refusal;
using testing_data::TempFolder;

std::string npy_file(const std::string& header, const std::string& values, char version = 1) {
  std::string file = "\x93NUMPY";
  file += version;
  file += '\0';
  file += static_cast<char>(header.size() & 0xFFU);
  file += static_cast<char>(header.size() >> 8U);
  if (version > 1) file += std::string(2, '\0');
  return file + header + values;
}

std::string header_of(const std::string& descr, const std::string& shape) {
  return "{'descr': '" + descr + "', 'fortran_order': False, 'shape': (" + shape + "), }   \n";
}

template <class T>
std::string raw(const std::vector<T>& values) {
  std::string bytes(values.size() * sizeof(T), '\0');
  std::memcpy(bytes.data(), values.data(), bytes.size());
  return bytes;
}

std::string npy_refusal(const std::string& bytes) {
  return refusal<FileError>([&] { parse_npy("f", bytes_of(bytes)); });
}

TEST(Npy, ParsesAllVersionsAndTypes) {
  for (const char version : {1, 2, 3}) {
    const std::string file = npy_file(header_of("<f4", "2, 3"), raw<float>({1, 2, 3, 4, 5, 6}), version);
    const NpyArray array = parse_npy("f", bytes_of(file));
    EXPECT_EQ(array.type, NpyType::float32);
    EXPECT_EQ(array.shape, (std::vector<std::int64_t>{2, 3}));
    EXPECT_THAT(npy_floats("f", array, bytes_of(file)), ElementsAre(1, 2, 3, 4, 5, 6));
  }
  const std::string doubles = npy_file(header_of("<f8", "2,1"), raw<double>({0.5, -1}));
  EXPECT_THAT(npy_floats("f", parse_npy("f", bytes_of(doubles)), bytes_of(doubles)),
              ElementsAre(0.5F, -1.0F));
  for (const std::string& file : {npy_file(header_of("<i8", "3,"), raw<std::int64_t>({0, 7, 2})),
                                  npy_file(header_of("<i4", "3"), raw<std::int32_t>({0, 7, 2})),
                                  npy_file(header_of("|u1", "3,"), raw<std::uint8_t>({0, 7, 2}))}) {
    EXPECT_THAT(npy_labels("f", parse_npy("f", bytes_of(file)), bytes_of(file)), ElementsAre(0, 7, 2));
  }
}

TEST(Npy, RefusalsNameFileOffsetAndReason) {
  const std::string good = npy_file(header_of("<f4", "2,"), raw<float>({1, 2}));
  const std::string size = std::to_string(good.size());
  EXPECT_THAT(npy_refusal(""), HasSubstr("f: offset 0: empty"));
  EXPECT_THAT(npy_refusal("PK-rubbish"), HasSubstr("f: offset 0: not a NumPy array file"));
  EXPECT_THAT(npy_refusal(good.substr(0, 6)), HasSubstr("f: offset 6: format version 0"));
  EXPECT_THAT(npy_refusal(npy_file("{}", "", 4)),
              HasSubstr("f: offset 6: format version 4; expected 1 to 3"));
  EXPECT_THAT(npy_refusal(good.substr(0, 9)), HasSubstr("f: offset 9: truncated within the header"));
  EXPECT_THAT(npy_refusal(good.substr(0, 30)), HasSubstr("f: offset 8: a header of"));
  EXPECT_THAT(npy_refusal(good.substr(0, good.size() - 1)),
              HasSubstr("truncated: the header claims 8 bytes of values, and 7 follow"));
  EXPECT_THAT(npy_refusal(good + "x"), HasSubstr("f: offset " + size + ": too long"));
  EXPECT_THAT(npy_refusal(npy_file(header_of(">f4", "1,"), "abcd")),
              HasSubstr("an array type that is not read"));
  EXPECT_THAT(npy_refusal(npy_file(header_of("|O", "1,"), "abcd")),
              HasSubstr("an array type that is not read"));
  EXPECT_THAT(npy_refusal(npy_file("{'descr': '<f4', 'fortran_order': True, 'shape': (1,)}", "abcd")),
              HasSubstr("expected fortran_order False"));
  EXPECT_THAT(npy_refusal(npy_file("{'descr': '<f4', 'shape': (1,)}", "abcd")), HasSubstr("lacks"));
  EXPECT_THAT(npy_refusal(npy_file("{'evil': '<f4'}", "abcd")), HasSubstr("an unknown key"));
  EXPECT_THAT(npy_refusal(npy_file("{'descr'", "abcd")), HasSubstr("expected ':'"));
  EXPECT_THAT(npy_refusal(npy_file(header_of("<f4", ""), "abcd")), HasSubstr("at least one dimension"));
  EXPECT_THAT(npy_refusal(npy_file(header_of("<f4", "0, 3"), "")),
              HasSubstr("expected an extent of at least 1"));
  EXPECT_THAT(npy_refusal(npy_file(header_of("<f4", "1,1,1,1,1,1"), "abcd")),
              HasSubstr("at most 5 dimensions"));
}

TEST(Npy, AHugeClaimIsRefused) {
  EXPECT_THAT(npy_refusal(npy_file(header_of("<f8", "1099511627776,"), "abcd")), HasSubstr("truncated"));
  EXPECT_THAT(npy_refusal(npy_file(header_of("<f8", "4294967296, 4294967296, 2"), "abcd")),
              HasSubstr("more values than are accepted"));
  EXPECT_THAT(npy_refusal(npy_file(header_of("<f8", "99999999999999999999,"), "abcd")),
              HasSubstr("expected an extent of at least 1"));
}

TEST(Npy, WrongValuesAreRefused) {
  const auto labels = [](const std::string& file) {
    return refusal<FileError>([&] { npy_labels("f", parse_npy("f", bytes_of(file)), bytes_of(file)); });
  };
  EXPECT_THAT(labels(npy_file(header_of("<i4", "2,"), raw<std::int32_t>({0, -1}))),
              HasSubstr("label -1; expected"));
  EXPECT_THAT(labels(npy_file(header_of("<i8", "1,"), raw<std::int64_t>({1LL << 40}))),
              HasSubstr("label 1099511627776"));
  EXPECT_THAT(labels(npy_file(header_of("<i4", "1,1"), raw<std::int32_t>({0}))),
              HasSubstr("several dimensions"));
  EXPECT_THAT(labels(npy_file(header_of("<f4", "1,"), raw<float>({0}))), HasSubstr("labels of a real type"));
  const std::string nan = npy_file(header_of("<f4", "2,"), raw<float>({0, NAN}));
  EXPECT_THAT(refusal<FileError>([&] { npy_floats("f", parse_npy("f", bytes_of(nan)), bytes_of(nan)); }),
              HasSubstr("value 1 is not a finite"));
}

class NpyFolder : public ::testing::Test {
 protected:
  NpyFolder() {
    folder_.write("x_train.npy",
                  npy_file(header_of("|u1", "3, 2, 2"),
                           raw<std::uint8_t>({0, 51, 102, 255, 10, 11, 12, 13, 20, 21, 22, 23})));
    folder_.write("y_train.npy", npy_file(header_of("<i8", "3,"), raw<std::int64_t>({0, 1, 4})));
    folder_.write("x_test.npy", npy_file(header_of("|u1", "1, 2, 2"), raw<std::uint8_t>({0, 51, 102, 255})));
    folder_.write("y_test.npy", npy_file(header_of("|u1", "1,"), raw<std::uint8_t>({5})));
  }
  std::unique_ptr<FederatedData> load() const {
    return make_data({{"data.dataset", "npy"}, {"data.path", folder_.path()}, {"data.clients", "1"}});
  }
  TempFolder folder_;
};

TEST_F(NpyFolder, BytesArePixels) {
  const auto data = load();
  EXPECT_EQ(data->shape().kind, FeatureKind::pixels);
  EXPECT_EQ(data->shape().features, (std::vector<std::int64_t>{1, 2, 2}));
  EXPECT_EQ(data->shape().classes, 6);
  const Gathered test = gather_all(*data->test());
  EXPECT_THAT(test.features, ElementsAre(0.0F, 0.2F, 0.4F, 1.0F));
  EXPECT_THAT(test.labels, ElementsAre(5));
}

TEST_F(NpyFolder, FloatsAreReals) {
  folder_.write("x_train.npy", npy_file(header_of("<f8", "3, 2"), raw<double>({1, 2, 3, 4, 5, 6})));
  EXPECT_THAT(refusal<FileError>([&] { load(); }),
              HasSubstr("x_test.npy: offset 0: examples of another shape"));
  folder_.write("x_test.npy", npy_file(header_of("<f4", "1, 2"), raw<float>({7, 8})));
  const auto data = load();
  EXPECT_EQ(data->shape().kind, FeatureKind::reals);
  EXPECT_EQ(data->shape().features, (std::vector<std::int64_t>{2}));
  EXPECT_THAT(gather_all(*data->test()).features, ElementsAre(7, 8));
  EXPECT_EQ(data->examples(0), 3);
}

TEST_F(NpyFolder, FilesThatDoNotBelongTogetherAreRefused) {
  folder_.write("y_train.npy", npy_file(header_of("<i8", "2,"), raw<std::int64_t>({0, 1})));
  EXPECT_THAT(refusal<FileError>([&] { load(); }),
              HasSubstr("y_train.npy: offset 0: 2 labels for the 3 examples"));
  folder_.write("x_train.npy", npy_file(header_of("|u1", "3,"), raw<std::uint8_t>({0, 1, 2})));
  EXPECT_THAT(refusal<FileError>([&] { load(); }), HasSubstr("x_train.npy: offset 0: one dimension"));
}

TEST(NpyText, ReadsBackAsItWasWritten) {
  const std::vector<float> values{1.5F, -2, 0, 3e-20F, 5, 6};
  const std::string floats = npy_text(values, {3, 2});
  const auto bytes = std::as_bytes(std::span(floats));
  const NpyArray array = parse_npy("x", bytes);
  EXPECT_EQ(array.shape, (std::vector<std::int64_t>{3, 2}));
  EXPECT_EQ(array.offset % 64, 0U);
  EXPECT_EQ(npy_floats("x", array, bytes), values);
  const std::vector<std::int32_t> labels{3, 0, 9};
  const std::string text = npy_text(labels);
  const auto label_bytes = std::as_bytes(std::span(text));
  EXPECT_EQ(npy_labels("y", parse_npy("y", label_bytes), label_bytes), labels);
}

}  // namespace
}  // namespace gossamer

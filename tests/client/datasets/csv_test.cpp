#include "client/datasets/csv.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "tests/client/datasets/support.h"

namespace gossamer {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing_data::bytes_of;
using testing_data::gather_all;
using testing_data::Gathered;
using testing_data::make_data;
using testing_data::refusal;
using testing_data::TempFolder;

std::string csv_refusal(std::string_view text) {
  return refusal<FileError>([&] { parse_csv("f", bytes_of(text)); });
}

TEST(Csv, ParsesRowsWithAndWithoutNames) {
  for (const std::string names : {"", "width, height, kind\n"}) {
    const CsvTable table = parse_csv("f", bytes_of(names + "1.5,-2e3,0\r\n 0.25 , 4 , 2 \n\n"));
    EXPECT_EQ(table.columns, 2);
    EXPECT_THAT(table.values, ElementsAre(1.5F, -2000.0F, 0.25F, 4.0F));
    EXPECT_THAT(table.labels, ElementsAre(0, 2));
    EXPECT_EQ(table.classes, 3);
  }
}

TEST(Csv, RefusalsNameFileOffsetLineAndReason) {
  EXPECT_THAT(csv_refusal(""), HasSubstr("f: offset 0: empty"));
  EXPECT_THAT(csv_refusal("a,b,c\n"), HasSubstr("f: offset 6: no rows"));
  EXPECT_THAT(csv_refusal("1,2,0\n1,2\n"), HasSubstr("f: offset 6: line 2: 2 fields; expected 3 as above"));
  EXPECT_THAT(csv_refusal("1,2,0\n1,x,0\n"), HasSubstr("f: offset 8: line 2: 'x'; expected a finite number"));
  EXPECT_THAT(csv_refusal("1,2,0\n1,nan,0\n"), HasSubstr("'nan'; expected a finite number"));
  EXPECT_THAT(csv_refusal("1,2,0\n1,1e60,0\n"), HasSubstr("'1e60'; expected a finite number"));
  EXPECT_THAT(csv_refusal("1,2,0.5\n"), HasSubstr("f: offset 4: line 1: label '0.5'; expected an integer"));
  EXPECT_THAT(csv_refusal("1,2,-1\n"), HasSubstr("label '-1'"));
  EXPECT_THAT(csv_refusal("1,2,65536\n"), HasSubstr("label '65536'; expected an integer from 0 to 65535"));
  EXPECT_THAT(csv_refusal("5\n6\n"), HasSubstr("f: offset 0: line 1: one field"));
  EXPECT_THAT(csv_refusal("1,2,0\n1,,0\n"), HasSubstr("line 2: ''; expected a finite number"));
}

TEST(Csv, LoadsAndHoldsOut) {
  const TempFolder folder;
  std::string text = "x,y,label\n";
  for (int i = 0; i < 50; ++i)
    text += std::to_string(i) + "," + std::to_string(2 * i) + "," + std::to_string(i % 3) + "\n";
  const std::string file = folder.write("table.csv", text);
  const auto load = [&](const std::string& seed) {
    return make_data({{"data.dataset", "csv"},
                      {"data.path", file},
                      {"data.clients", "4"},
                      {"data.csv.test_fraction", "0.3"},
                      {"run.seed", seed}});
  };
  const auto data = load("1");
  EXPECT_EQ(data->shape().kind, FeatureKind::reals);
  EXPECT_EQ(data->shape().features, (std::vector<std::int64_t>{2}));
  EXPECT_EQ(data->shape().classes, 3);
  EXPECT_EQ(data->test()->size(), 15);
  std::multiset<float> rows;
  const auto collect = [&](const ExampleSet& set) {
    const Gathered part = gather_all(set);
    for (std::size_t i = 0; i < part.labels.size(); ++i) {
      rows.insert(part.features[2 * i]);
      EXPECT_EQ(part.features[2 * i + 1], 2 * part.features[2 * i]);
      EXPECT_EQ(part.labels[i], static_cast<std::int64_t>(part.features[2 * i]) % 3);
    }
  };
  collect(*data->test());
  for (ClientId k = 0; k < 4; ++k) collect(*data->client(k));
  EXPECT_EQ(rows.size(), 50U);
  EXPECT_EQ(std::set<float>(rows.begin(), rows.end()).size(), 50U);
  EXPECT_EQ(gather_all(*data->test()).features, gather_all(*load("1")->test()).features);
  EXPECT_NE(gather_all(*data->test()).features, gather_all(*load("2")->test()).features);
}

TEST(Csv, AFolderHoldsDataCsv) {
  const TempFolder folder;
  folder.write("data.csv", "1,0\n2,1\n3,0\n");
  EXPECT_EQ(
      make_data({{"data.dataset", "csv"}, {"data.path", folder.path()}, {"data.clients", "2"}})->clients(),
      2);
  folder.write("data.csv", "1,0\n");
  EXPECT_THAT(refusal<FileError>([&] {
                make_data({{"data.dataset", "csv"}, {"data.path", folder.path()}});
              }),
              HasSubstr("one row"));
}

}  // namespace
}  // namespace gossamer

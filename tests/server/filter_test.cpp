// What of an aggregator's updates travels: Gaia's filter worked out by hand, and its payload.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>
#include <span>

#include "server/filters/methods.h"
#include "server_schema.h"

namespace gossamer {
namespace {

using ::testing::ElementsAre;

std::unique_ptr<UpdateFilter> gaia(const std::string& threshold) {
  return update_filters().make(server_options({{"topology.name", "tree"},
                                               {"topology.tree.filter", "gaia"},
                                               {"topology.tree.filter.threshold", threshold}}));
}

std::vector<float> decoded(const Compressed& content) {
  std::vector<float> values(content.elements, -1.0F);
  EXPECT_TRUE(make_sparse_codec()->decompress(content, values).ok());
  return values;
}

std::vector<float> pass(UpdateFilter& filter, const std::vector<float>& update,
                        const std::vector<float>& model, Round round) {
  return decoded(filter.pass({update.begin(), update.end()}, model, round));
}

TEST(Gaia, SendsWhatHasChangedByMoreThanTheThreshold) {
  const auto filter = gaia("0.5");
  // |sum u| > 0.5 |w|; the bound itself is not passed.
  EXPECT_THAT(pass(*filter, {1, 0.5F, -0.75F, 0.25F}, {1, 1, 1, -1}, 1), ElementsAre(1, 0, -0.75F, 0));
  // What has waited: 0, 0.5, 0, 0.25. In round 4 the threshold is 0.25.
  EXPECT_THAT(pass(*filter, {0.25F, 0.125F, 0, -0.25F}, {1, 1, 1, 1}, 4), ElementsAre(0, 0.625F, 0, 0));
  // 0.25 waits for the first; the others have nothing left.
  EXPECT_THAT(pass(*filter, {0.25F, 0, 0, 0}, {1, 1, 1, 1}, 4), ElementsAre(0.5F, 0, 0, 0));
}

TEST(Gaia, AValueOfZeroIsSignificantAsSoonAsItChanges) {
  const auto filter = gaia("1000");
  EXPECT_THAT(pass(*filter, {1e-30F, 0, 1}, {0, 0, 1}, 1), ElementsAre(1e-30F, 0, 0));
}

TEST(Gaia, ThresholdZeroSendsEverything) {
  const auto filter = gaia("0");
  EXPECT_THAT(pass(*filter, {1e-20F, -3, 0}, {5, 1e20F, 7}, 1), ElementsAre(1e-20F, -3, 0));
}

TEST(Gaia, WhatWasSentAndWhatIsLeftAddUpToTheUpdates) {
  const auto filter = gaia("20");
  std::mt19937 random(7);
  std::uniform_int_distribution<int> whole(-8, 8);
  constexpr std::size_t kSize = 500;
  std::vector<float> model(kSize), updates(kSize), sent(kSize);
  for (float& value : model) value = static_cast<float>(whole(random));
  std::size_t travelled = 0;
  for (Round round = 1; round <= 20; ++round) {
    std::vector<float> update(kSize);
    for (std::size_t i = 0; i < kSize; ++i) updates[i] += update[i] = static_cast<float>(whole(random));
    const auto part = pass(*filter, update, model, round);
    for (std::size_t i = 0; i < kSize; ++i) {
      sent[i] += part[i];
      travelled += part[i] != 0 ? 1 : 0;
    }
  }
  EXPECT_GT(travelled, 0U);
  EXPECT_LT(travelled, 20 * kSize / 2);
  EXPECT_NE(sent, updates) << "something waits";
  // A last round in which everything is significant: a model of zeros. Whole numbers add exactly.
  const auto rest = pass(*filter, std::vector<float>(kSize), std::vector<float>(kSize), 21);
  for (std::size_t i = 0; i < kSize; ++i) EXPECT_EQ(sent[i] + rest[i], updates[i]);
}

TEST(SparsePayload, TakesEightBytesAnEntryAndNeverMoreThanAllFloats) {
  EXPECT_EQ(encode_sparse(std::vector<float>{0, 0, 0, 0}).payload.size(), 0U);
  EXPECT_EQ(encode_sparse(std::vector<float>{0, 5, 0, 0}).payload.size(), 8U);
  EXPECT_EQ(encode_sparse(std::vector<float>{1, 5, 0, 0}).payload.size(), 16U);
  EXPECT_EQ(encode_sparse(std::vector<float>{1, 5, 7, 0}).payload.size(), 16U);
  for (const std::vector<float>& values :
       {std::vector<float>{}, std::vector<float>{0}, std::vector<float>{3}, std::vector<float>{0, 5, 0},
        std::vector<float>{0, 0, 0, 0, -2}, std::vector<float>{1, 2, 3, 0, 0, 0}})
    EXPECT_EQ(decoded(encode_sparse(values)), values);
}

TEST(SparsePayload, AddsWithAWeight) {
  std::vector<float> sum{1, 1, 1, 1};
  ASSERT_TRUE(
      make_sparse_codec()->decompress_add(encode_sparse(std::vector<float>{0, 2, 0, 0}), 3, sum).ok());
  EXPECT_THAT(sum, ElementsAre(1, 7, 1, 1));
  ASSERT_TRUE(
      make_sparse_codec()->decompress_add(encode_sparse(std::vector<float>{1, 2, 3, 4}), 1, sum).ok());
  EXPECT_THAT(sum, ElementsAre(2, 9, 4, 5));
}

Compressed entries(const std::vector<std::uint32_t>& indices, const std::vector<float>& values,
                   std::size_t elements, std::size_t extra = 0) {
  ByteBuffer bytes(indices.size() * 4 + values.size() * 4 + extra);
  const auto in_bytes = [](const auto& list) { return std::as_bytes(std::span(list)); };
  const auto behind = std::ranges::copy(in_bytes(indices), bytes.begin()).out;
  std::ranges::copy(in_bytes(values), behind);
  return {elements, SharedBytes::of(std::move(bytes))};
}

TEST(SparsePayload, OneThatIsNotWellFormedAddsNothing) {
  const auto refused = [](const Compressed& content) {
    std::vector<float> sum(6, 1.0F);
    const bool added = make_sparse_codec()->decompress_add(content, 1, sum).ok();
    EXPECT_THAT(sum, ::testing::Each(1.0F));
    return !added;
  };
  EXPECT_TRUE(refused(entries({0, 6}, {1, 1}, 6))) << "out of range";
  EXPECT_TRUE(refused(entries({0, 0xFFFFFFFF}, {1, 1}, 6)));
  EXPECT_TRUE(refused(entries({2, 1}, {1, 1}, 6))) << "out of order";
  EXPECT_TRUE(refused(entries({2, 2}, {1, 1}, 6))) << "twice";
  EXPECT_TRUE(refused(entries({0, 1}, {1, NAN}, 6)));
  EXPECT_TRUE(refused(entries({0}, {INFINITY}, 6)));
  EXPECT_TRUE(refused(entries({0}, {1}, 5))) << "another length";
  EXPECT_TRUE(refused(entries({0}, {1}, 6, 4))) << "half an entry";
  EXPECT_TRUE(refused(entries({0, 1, 2, 3}, {1, 1, 1, 1}, 6))) << "longer than all floats";
  EXPECT_TRUE(refused(entries({}, {1, 1, 1, 1, 1, NAN}, 6)));
}

}  // namespace
}  // namespace gossamer

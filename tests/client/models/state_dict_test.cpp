#include "client/models/state_dict.h"

#include <gtest/gtest.h>

#include <limits>
#include <stdexcept>

namespace gossamer {
namespace {

std::vector<PickledTensor> read(const std::string& pickle) {
  return unpickle_state_dict(std::as_bytes(std::span(pickle)));
}

const PickledTensor kWeight{"fc.weight", "FloatStorage", "0", 6, 0, {2, 3}, {3, 1}};
const PickledTensor kCounter{"bn.num_batches_tracked", "LongStorage", "1", 1, 0, {}, {}};
const PickledTensor kPart{"part", "FloatStorage", "0", 6, 1, {2, 2}, {1, 2}};
const PickledTensor kEmpty{"empty", "FloatStorage", "2", 0, 0, {0, 5}, {5, 1}};

TEST(StateDict, ReadsWhatItWrites) {
  const std::vector<PickledTensor> tensors{kWeight, kCounter, kPart, kEmpty};
  EXPECT_EQ(read(pickle_state_dict(tensors)), tensors);
  EXPECT_TRUE(read(pickle_state_dict({})).empty());
}

TEST(StateDict, RefusesEveryTruncation) {
  const std::string whole = pickle_state_dict({kWeight, kCounter});
  for (std::size_t size = 0; size < whole.size(); ++size) {
    EXPECT_THROW(read(whole.substr(0, size)), std::runtime_error) << size;
  }
}

TEST(StateDict, RefusesTensorsOutsideOfTheirStorage) {
  constexpr std::int64_t kHuge = std::numeric_limits<std::int64_t>::max();
  const auto with = [](auto change) {
    PickledTensor tensor = kWeight;
    change(tensor);
    return pickle_state_dict({tensor});
  };
  for (const std::string& pickle : {
           with([](auto& t) { t.storage_elements = 5; }),
           with([](auto& t) { t.storage_elements = -1; }),
           with([](auto& t) { t.offset = 1; }),
           with([](auto& t) { t.offset = -1; }),
           with([](auto& t) { t.offset = kHuge; }),
           with([](auto& t) {
             t.sizes = {2, -3};
           }),
           with([](auto& t) {
             t.sizes = {kHuge, kHuge};
           }),
           with([](auto& t) { t.sizes = {2}; }),
           with([](auto& t) {
             t.strides = {-3, 1};
           }),
           with([](auto& t) {
             t.strides = {kHuge, 1};
           }),
           with([](auto& t) { t.sizes = {1'000'000}, t.strides = {0}; }),
       }) {
    EXPECT_THROW(read(pickle), std::runtime_error);
  }
}

TEST(StateDict, CallsNothing) {
  using namespace std::string_literals;
  EXPECT_THROW(read("\x80\x02"
                    "cos\nsystem\nX\x02\0\0\0ls\x85R."s),
               std::runtime_error);
}

TEST(StateDict, RefusesPicklesThatMakeNoSense) {
  using namespace std::string_literals;
  for (const std::string& pickle :
       {"."s, "("s, "u."s, "R."s, "t."s, "(."s, "q\x01."s, "h\x01."s, "K\x01."s, "}K\x01s."s, "\x85."s,
        "}(K\x01u."s, "}K\x01K\x02s."s, "K\x01Q."s, "N."s, "b."s, "\x80\x09}."s}) {
    EXPECT_THROW(read(pickle), std::runtime_error) << pickle;
  }
}

}  // namespace
}  // namespace gossamer

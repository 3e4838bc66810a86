// run.device = cuda, as far as a configuration says whether it can be.
#include <gmock/gmock.h>

#include "tests/simulation/simulated.h"

namespace gossamer {
namespace {

using ::testing::HasSubstr;
using DeviceKeys = std::map<std::string, std::string>;

std::string refusal_on_cuda(DeviceKeys keys) {
  keys["run.device"] = "cuda";
  return refusal_of(keys);
}

TEST(RunDevice, TakesTheAlgorithmsThatItNamesAndNoOthers) {
  const std::string refusal = refusal_on_cuda({{"algorithm.name", "easgd"}});
  const std::string named = refusal.substr(refusal.find(" use "));
  for (const std::string& name : algorithms().names()) {
    Options options(full_schema());
    options.set("algorithm.name", name);
    const bool there = algorithms().make(options)->trains_on_device();
    EXPECT_EQ(named.find(' ' + name) != std::string::npos, there) << name << " in" << named;
    EXPECT_EQ(full_schema()->find("run.device")->help.find(name) != std::string::npos, there) << name;
  }
  EXPECT_EQ(refusal_on_cuda({{"algorithm.name", "fedavg"}}), "");
  EXPECT_EQ(refusal_on_cuda({{"algorithm.name", "fedbuff"}, {"sync.mode", "buffered"}}), "");
}

TEST(RunDevice, RefusesWhatIsDoneOnTheProcessorOnly) {
  EXPECT_THAT(refusal_on_cuda({{"client.optimizer", "adam"}}), HasSubstr("client.optimizer = sgd"));
  EXPECT_THAT(refusal_on_cuda({{"model.file", "model.pt"}}), HasSubstr("model.name"));
  EXPECT_THAT(refusal_on_cuda({{"privacy.mechanism", "gaussian"},
                               {"privacy.placement", "example"},
                               {"privacy.clip_norm", "1"},
                               {"privacy.noise_multiplier", "1"},
                               {"privacy.insecure_seed", "7"},
                               {"privacy.sampling_rate", "0.1"},
                               {"run.rounds", "3"}}),
              HasSubstr("run.device = cpu"));
}

}  // namespace
}  // namespace gossamer

#include "cli/bench_gloo.h"

#include <gloo/allreduce.h>
#include <gloo/math.h>
#include <gloo/rendezvous/context.h>
#include <gloo/rendezvous/file_store.h>
#include <gloo/transport/tcp/device.h>

#include <chrono>
#include <cstdint>
#include <memory>

namespace gossamer {

SumInPlace make_gloo_all_reduce(Rank self, int world_size, const std::filesystem::path& folder) {
  gloo::transport::tcp::attr attributes;
  attributes.hostname = "127.0.0.1";
  auto device = gloo::transport::tcp::CreateDevice(attributes);
  auto context = std::make_shared<gloo::rendezvous::Context>(self, world_size);
  context->setTimeout(std::chrono::seconds(60));
  gloo::rendezvous::FileStore store(folder.string());
  context->connectFullMesh(store, device);

  auto tag = std::make_shared<std::uint32_t>(0);
  return [context, tag](std::span<float> values) {
    gloo::AllreduceOptions options(context);
    options.setOutput(values.data(), values.size());
    options.setReduceFunction(
        static_cast<void (*)(void*, const void*, const void*, std::size_t)>(&gloo::sum<float>));
    options.setTag((*tag)++);
    gloo::allreduce(options);
  };
}

}  // namespace gossamer

#include "client/received_models.h"

#include <algorithm>

#include "comms/codec.h"
#include "comms/topologies/topology.h"

namespace gossamer {
namespace {

// A client may be given the newest as a whole before another one is given what makes it of the one before.
constexpr std::size_t kVersions = 2;

}  // namespace

ReceivedModels::ReceivedModels(const Options& options, const ShardPlan& plan)
    : plan_(plan), tree_(topologies().make(options)->tree_plan(options.integer("data.clients"))) {
  for (std::size_t s = 0; s < plan_.shards(); ++s) codecs_.emplace_back(options, plan_.layout(s));
}

Result<SharedFloats> ReceivedModels::receive(const Parcel& models) {
  const Source source = source_of(models);
  const std::lock_guard lock(mutex_);
  Stream& stream = stream_to(models.header().client);
  for (const Version& version : stream) {
    if (std::ranges::find(version.sources, source) != version.sources.end()) return version.values;
  }
  auto decoded = decode(models, stream);
  if (!decoded) return decoded.fault();
  const auto same = std::ranges::find(stream, decoded.value().marks, &Version::marks);
  if (same != stream.end() && same->round == decoded.value().round) {
    same->sources.push_back(source);
    return same->values;
  }
  decoded.value().sources.push_back(source);
  const SharedFloats values = decoded.value().values;
  keep(std::move(decoded).value(), stream);
  return values;
}

void ReceivedModels::rewind(ClientId client, Round round) {
  const std::lock_guard lock(mutex_);
  std::erase_if(stream_to(client), [&](const Version& version) { return version.round > round; });
}

ReceivedModels::Source ReceivedModels::source_of(const Parcel& models) {
  Source source;
  for (std::size_t s = 0; s < models.frames(); ++s)
    source.emplace_back(base_of(models[s].header), models[s].header.payload_checksum);
  return source;
}

Result<ReceivedModels::Version> ReceivedModels::decode(const Parcel& models, const Stream& stream) const {
  FloatBuffer values(plan_.floats());
  Version version;
  version.round = models.header().round;
  for (std::size_t s = 0; s < plan_.shards(); ++s) {
    const auto content = decode_model(models[s]);
    if (!content) return content.fault();
    const std::uint64_t base = base_of(models[s].header);
    const std::span<float> range = plan_.part(std::span(values), s);
    const auto held = std::ranges::find_if(stream, [&](const Version& one) { return one.marks[s] == base; });
    const ModelCodec::Held of_range = held == stream.end()
                                          ? ModelCodec::Held{}
                                          : ModelCodec::Held{plan_.part(held->values.values, s), base};
    if (auto read = codecs_[s].decode(content.value(), base, of_range, range); !read) return read.fault();
    // Of floats as they are the payload has been hashed already.
    version.marks.push_back(base == 0 ? mark_of_checksum(models[s].header.payload_checksum) : mark_of(range));
  }
  version.values = SharedFloats::of(std::move(values));
  return version;
}

// In place of another one of its round. One that is older than those kept, of work that was called off, is
// not kept.
void ReceivedModels::keep(Version version, Stream& stream) {
  std::erase_if(stream, [&](const Version& held) { return held.round == version.round; });
  stream.push_back(std::move(version));
  std::ranges::stable_sort(stream, {}, &Version::round);
  if (stream.size() > kVersions) stream.erase(stream.begin());
}

// A client that there is not, which a peer may name, has no stream of an aggregator.
ReceivedModels::Stream& ReceivedModels::stream_to(ClientId client) {
  return streams_[tree_ && client < tree_->clients() ? tree_->parent_of(client) : 0];
}

}  // namespace gossamer

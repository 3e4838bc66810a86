#include "server/shard.h"

#include <string>
#include <utility>

#include "core/error.h"

namespace gossamer {

Shard::Shard(const Options& options, std::shared_ptr<const Parameters> range)
    : server_(options, std::move(range)) {}

void Shard::carry_out(const ShardOrder& order, const Answers& answers) {
  using Kind = ShardOrder::Kind;
  if (order.kind != Kind::hold) bases_.clear();
  switch (order.kind) {
    case Kind::begin:
      work_.clear();
      return server_.begin();
    case Kind::serve:
    case Kind::serve_again:
    case Kind::serve_difference:
      return serve(order, answers);
    case Kind::add:
    case Kind::add_stale:
      return add(order);
    case Kind::commit:
      return server_.commit();
    case Kind::commit_over:
      return server_.commit(order.value);
    case Kind::forget:
      work_.erase(order.client);
      return;
    case Kind::hold: {
      const auto base = bases_.find(static_cast<std::uint64_t>(std::max(0.0, order.value)));
      if (base == bases_.end()) throw RunError("shard: a client holds a version that there is not");
      work_[order.client] = {order.round, base->second, 0, std::nullopt};
      return;
    }
    case Kind::show_model:
      return answers.show({ShardSection::Kind::model, 0, server_.model()->values});
    case Kind::show_state:
      return show_state(answers);
    case Kind::show_base: {
      const auto work = work_.find(order.client);
      if (work == work_.end()) throw RunError("shard: asked for the version of a client that is not at work");
      return answers.show(
          {ShardSection::Kind::base, static_cast<std::uint64_t>(order.round), work->second.base->values});
    }
    case Kind::show_end:
      return answers.show({});
  }
}

void Shard::serve(const ShardOrder& order, const Answers& answers) {
  Work& work = work_[order.client];
  const bool again =
      order.kind == ShardOrder::Kind::serve_again && work.base != nullptr && work.round == order.round;
  if (!again) work.base = server_.model();
  work.round = order.round;
  work.serving = order.value;
  work.part.reset();
  encode(order, work.base);
  if (order.kind != ShardOrder::Kind::serve_difference)
    return answers.serve({order.client, order.round, broadcast_.whole, 0});
  if (!broadcast_.difference) throw RunError("shard: asked for a difference where there is none");
  answers.serve({order.client, order.round, *broadcast_.difference, broadcast_.base});
}

// Once for all who get the same.
void Shard::encode(const ShardOrder& order, const std::shared_ptr<const Parameters>& base) {
  if (server_.stream().sends_differences()) {
    if (round_ != order.round) broadcast_ = server_.broadcast(order.round);
    round_ = order.round;
  } else if (encoded_ != base) {
    encoded_ = base;
    broadcast_ = {server_.encode(base), std::nullopt, 0};
  }
}

std::optional<double> Shard::take(const CompressedUpdate& part) {
  const auto work = work_.find(part.info.client);
  if (work == work_.end() || work->second.round != part.info.round) return std::nullopt;
  if (!server_.check(part.content)) return std::nullopt;
  work->second.part = part;
  return work->second.serving;
}

void Shard::add(const ShardOrder& order) {
  const auto work = work_.find(order.client);
  if (work == work_.end() || work->second.round != order.round || !work->second.part) {
    throw RunError("shard: told to add an update of client " + std::to_string(order.client) + ", round " +
                   std::to_string(order.round) + ", that is not here");
  }
  const CompressedUpdate& part = *work->second.part;
  const auto added = order.kind == ShardOrder::Kind::add
                         ? server_.receive(part, order.value)
                         : server_.receive_stale(part, order.value, *work->second.base);
  if (!added) throw RunError("shard: " + added.fault().reason);
  work_.erase(work);
}

// What Server::save() writes, beside the model.
void Shard::show_state(const Answers& answers) {
  CheckpointWriter writer;
  server_.save(writer);
  const ByteBuffer bytes = writer.encode();
  const CheckpointReader saved(bytes, "shard");
  const auto show = [&](ShardSection section) {
    const auto values = saved.floats(name_of(section));
    section.values.assign(values.begin(), values.end());
    answers.show(std::move(section));
  };
  const auto moments = saved.pod<std::uint64_t>("moments");
  for (std::uint64_t i = 0; i < moments; ++i) show({ShardSection::Kind::moment, i, {}});
  const ShardSection correction{ShardSection::Kind::correction, 0, {}};
  if (saved.has(name_of(correction))) show(correction);
  const ShardSection reference{ShardSection::Kind::reference, 0, {}};
  if (saved.has(name_of(reference))) show(reference);
}

void Shard::restore(ShardSection section) {
  if (section.kind == ShardSection::Kind::base) {
    auto base = std::make_shared<Parameters>(*server_.model());
    if (section.values.size() != base->values.size())
      throw RunError("shard: a version of the checkpoint does not fit the range");
    base->values = std::move(section.values);
    bases_[section.number] = std::move(base);
    return;
  }
  if (section.kind != ShardSection::Kind::end) {
    restored_.push_back(std::move(section));
    return;
  }
  CheckpointWriter writer;
  std::uint64_t moments = 0;
  for (const ShardSection& restored : restored_) {
    if (restored.kind == ShardSection::Kind::moment) ++moments;
    writer.add_floats(name_of(restored), restored.values);
  }
  writer.add_pod("moments", moments);
  const ByteBuffer bytes = writer.encode();
  server_.restore(CheckpointReader(bytes, "checkpoint"));
  restored_.clear();
}

std::string name_of(const ShardSection& section) {
  switch (section.kind) {
    case ShardSection::Kind::model:
      return "model";
    case ShardSection::Kind::moment:
      return "moment " + std::to_string(section.number);
    case ShardSection::Kind::correction:
      return "correction";
    case ShardSection::Kind::base:
      return "base " + std::to_string(section.number);
    case ShardSection::Kind::reference:
      return "reference";
    case ShardSection::Kind::end:
      break;
  }
  return "end";
}

}  // namespace gossamer

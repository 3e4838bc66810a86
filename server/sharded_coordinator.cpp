#include "server/sharded_coordinator.h"

#include <algorithm>
#include <iterator>
#include <map>
#include <string>
#include <utility>

#include "core/error.h"
#include "server/shard.h"

namespace gossamer {
namespace {

using Values = std::span<const float>;

// Shards 1, 2, ... as objects.
class LocalShards final : public ShardPort {
 public:
  LocalShards(const Options& options, const ShardPlan& plan, const Parameters& initial) {
    for (std::size_t s = 1; s < plan.shards(); ++s) shards_.emplace_back(options, plan.part(initial, s));
  }

  void tell(const std::vector<ShardOrder>& orders) override {
    for (Shard& shard : shards_) {
      for (const ShardOrder& order : orders) shard.carry_out(order, {});
    }
  }

  void serve(SendModel& send) override {
    const auto orders = orders_of(send);
    for (Shard& shard : shards_) {
      Compressed range;
      std::uint64_t base = 0;
      const Shard::Answers keep{[&](const Shard::Model& model) {
                                  range = model.range;
                                  base = model.base;
                                },
                                {}};
      for (const ShardOrder& order : orders) shard.carry_out(order, keep);
      send.more.push_back(std::move(range));
      if (!send.bases.empty()) send.bases.push_back(base);
    }
  }

  bool take(const CompressedUpdate& update) override {
    if (update.more.size() != shards_.size()) return false;
    bool well = true;
    for (std::size_t i = 0; i < shards_.size(); ++i)
      well = shards_[i].take({update.info, update.more[i], {}}).has_value() && well;
    return well;
  }

  std::vector<std::vector<ShardSection>> show(std::vector<ShardOrder> orders) override {
    std::vector<std::vector<ShardSection>> shown;
    for (Shard& shard : shards_) {
      auto& sections = shown.emplace_back();
      const Shard::Answers keep{{}, [&](ShardSection section) { sections.push_back(std::move(section)); }};
      for (const ShardOrder& order : orders) shard.carry_out(order, keep);
    }
    return shown;
  }

  void restore(std::size_t shard, std::vector<ShardSection> sections) override {
    for (ShardSection& section : sections) shards_.at(shard - 1).restore(std::move(section));
    shards_.at(shard - 1).restore({});
  }

  bool is_broken() const noexcept override { return false; }

 private:
  std::vector<Shard> shards_;
};

// Vectors of a checkpoint that lie on the shards, a range each.
bool is_divided(const std::string& name, Values values, std::size_t whole, std::size_t trained) {
  if (name.starts_with("moment ")) return values.size() == trained;  // else it is one for all of them
  const bool one_a_float =
      name == "model" || name == "correction" || name == "reference" || name.starts_with("base ");
  return one_a_float && values.size() == whole;
}

// Shard s's part of it.
Values part_of(const ShardPlan& plan, const std::string& name, Values whole, std::size_t shard) {
  if (!name.starts_with("moment ")) return plan.part(whole, shard);
  const ShardPlan::Range range = plan.trained(shard);
  return whole.subspan(range.begin, range.size);
}

}  // namespace

void check_elementwise(const Options& options) {
  const auto refuse = [&](const char* key) {
    throw ConfigError("server.shards = " + options.raw("server.shards") + ": " + key + " = " +
                      options.text(key) +
                      " looks at an update as a whole, which no shard has; use server.shards = 1");
  };
  if (!aggregators().make(options)->is_elementwise()) refuse("server.aggregator");
  if (!server_optimizers().make(options)->is_elementwise()) refuse("server.optimizer");
  const auto correction = corrections().make(options);
  if (correction && !correction->is_elementwise()) refuse("sync.correction");
}

std::vector<ShardOrder> orders_of(const SendModel& send) {
  std::vector<ShardOrder> orders;
  const auto kind = send.again           ? ShardOrder::Kind::serve_again
                    : send.bases.empty() ? ShardOrder::Kind::serve
                                         : ShardOrder::Kind::serve_difference;
  for (const ClientId client : send.clients) orders.push_back({kind, client, send.round, 0});
  return orders;
}

ShardedCoordinator::ShardedCoordinator(const Options& options, std::shared_ptr<const Parameters> initial,
                                       std::shared_ptr<ShardPort> port)
    : plan_(*initial->layout, options.integer("server.shards")),
      port_(std::move(port)),
      first_(make_coordinator(options, plan_.part(*initial, 0))),
      whole_(std::move(initial)),
      whole_of_(first_->model()) {
  first_->take_notes();
}

// What the coordinator has done to its range goes to the others before what follows from it.
Actions ShardedCoordinator::passed_on(Actions actions) {
  if (const auto orders = first_->notes(); !orders.empty()) port_->tell(orders);
  for (Action& action : actions) {
    if (auto* send = std::get_if<SendModel>(&action)) port_->serve(*send);
  }
  return actions;
}

Actions ShardedCoordinator::joined(ClientId client, Seconds now) {
  return passed_on(first_->joined(client, now));
}

Actions ShardedCoordinator::left(ClientId client, const std::string& reason, Seconds now) {
  return passed_on(first_->left(client, reason, now));
}

Actions ShardedCoordinator::arrived(const CompressedUpdate& update, Seconds now) {
  if (port_->take(update)) return passed_on(first_->arrived(update, now));
  // Refused as one is whose first part is malformed.
  return passed_on(first_->arrived({update.info, {}, {}}, now));
}

Actions ShardedCoordinator::dropped(ClientId client, Round round, Seconds now) {
  return passed_on(first_->dropped(client, round, now));
}

Actions ShardedCoordinator::deadline(Round round, Seconds now) {
  return passed_on(first_->deadline(round, now));
}

Actions ShardedCoordinator::ready(ClientId client, Seconds now) {
  return passed_on(first_->ready(client, now));
}

Actions ShardedCoordinator::committed(std::optional<double> accuracy, Seconds now) {
  return passed_on(first_->committed(accuracy, now));
}

const std::shared_ptr<const Parameters>& ShardedCoordinator::model() const {
  if (whole_of_ == first_->model() || port_->is_broken()) return whole_;
  const auto shown = port_->show({{ShardOrder::Kind::show_model}});
  auto whole = std::make_shared<Parameters>();
  whole->layout = whole_->layout;
  whole->values = first_->model()->values;
  whole->values.reserve(plan_.floats());
  for (std::size_t s = 1; s < plan_.shards(); ++s) {
    const auto& sections = shown[s - 1];
    if (sections.size() != 1 || sections[0].values.size() != plan_.range(s).size)
      throw RunError("shard " + std::to_string(s) + ": its range of the model is not what was asked for");
    whole->values.insert(whole->values.end(), sections[0].values.begin(), sections[0].values.end());
  }
  whole_ = std::move(whole);
  whole_of_ = first_->model();
  return whole_;
}

void ShardedCoordinator::save(CheckpointWriter& writer) {
  CheckpointWriter first;
  first_->save(first);
  const ByteBuffer bytes = first.encode();
  const CheckpointReader saved(bytes, "shard 0");

  std::vector<ShardOrder> orders{{ShardOrder::Kind::show_model}, {ShardOrder::Kind::show_state}};
  std::uint64_t bases = 0;
  for (const HeldWork& work : first_->held_work()) {
    if (work.base == bases)
      orders.push_back({ShardOrder::Kind::show_base, work.client, static_cast<Round>(bases++), 0});
  }
  std::vector<std::map<std::string, FloatBuffer>> others;
  for (auto& sections : port_->show(std::move(orders))) {
    auto& named = others.emplace_back();
    for (ShardSection& section : sections) named[name_of(section)] = std::move(section.values);
  }

  saved_.clear();
  saved_.reserve(saved.names().size());  // the writer has spans into them
  const std::size_t whole = plan_.range(0).size, trained = plan_.trained(0).size;
  for (const std::string& name : saved.names()) {
    const bool of_floats = saved.section(name).size() % sizeof(float) == 0;
    if (!of_floats || !is_divided(name, saved.floats(name), whole, trained)) {
      writer.add_text(name, std::string(saved.text(name)));
      continue;
    }
    const Values range = saved.floats(name);
    FloatBuffer& joint = saved_.emplace_back(range.begin(), range.end());
    for (std::size_t s = 1; s < plan_.shards(); ++s) {
      const auto found = others[s - 1].find(name);
      const std::size_t size = name.starts_with("moment ") ? plan_.trained(s).size : plan_.range(s).size;
      if (found == others[s - 1].end() || found->second.size() != size)
        throw RunError("shard " + std::to_string(s) + ": its \"" + name + "\" is not what was asked for");
      joint.insert(joint.end(), found->second.begin(), found->second.end());
    }
    writer.add_floats(name, joint);
  }
}

void ShardedCoordinator::restore(const CheckpointReader& reader) {
  const std::size_t trained = whole_->layout->parameter_count();
  const auto model = reader.floats("model");
  if (model.size() != plan_.floats()) {
    throw FileError("checkpoint: its model has " + std::to_string(model.size()) + " floats, this one has " +
                    std::to_string(plan_.floats()));
  }
  CheckpointWriter first;
  for (const std::string& name : reader.names()) {
    const bool of_floats = reader.section(name).size() % sizeof(float) == 0;
    if (of_floats && is_divided(name, reader.floats(name), plan_.floats(), trained)) {
      first.add_floats(name, part_of(plan_, name, reader.floats(name), 0));
    } else {
      first.add(name, reader.section(name));
    }
  }
  const ByteBuffer bytes = first.encode();
  first_->restore(CheckpointReader(bytes, "checkpoint"));
  first_->notes();

  std::vector<ShardOrder> orders;
  std::uint64_t bases = 0;
  for (const HeldWork& work : first_->held_work()) {
    orders.push_back({ShardOrder::Kind::hold, work.client, work.round, static_cast<double>(work.base)});
    bases = std::max(bases, work.base + 1);
  }
  for (std::size_t s = 1; s < plan_.shards(); ++s) {
    std::vector<ShardSection> sections;
    const auto add = [&](ShardSection::Kind kind, std::uint64_t number) {
      ShardSection section{kind, number, {}};
      const std::string name = name_of(section);
      const auto values = reader.floats(name);
      const auto part =
          is_divided(name, values, plan_.floats(), trained) ? part_of(plan_, name, values, s) : values;
      section.values.assign(part.begin(), part.end());
      sections.push_back(std::move(section));
    };
    add(ShardSection::Kind::model, 0);
    for (std::uint64_t i = 0; i < reader.pod<std::uint64_t>("moments"); ++i)
      add(ShardSection::Kind::moment, i);
    if (reader.has("correction")) add(ShardSection::Kind::correction, 0);
    if (reader.has("reference")) add(ShardSection::Kind::reference, 0);
    for (std::uint64_t i = 0; i < bases; ++i) add(ShardSection::Kind::base, i);
    port_->restore(s, std::move(sections));
  }
  if (!orders.empty()) port_->tell(orders);
  auto whole = std::make_shared<Parameters>(*whole_);
  whole->values.assign(model.begin(), model.end());
  whole_ = std::move(whole);
  whole_of_ = first_->model();
}

std::unique_ptr<Coordination> make_sharded_coordinator(const Options& options,
                                                       std::shared_ptr<const Parameters> initial) {
  const ShardPlan plan(*initial->layout, options.integer("server.shards"));
  auto shards = std::make_shared<LocalShards>(options, plan, *initial);
  return std::make_unique<ShardedCoordinator>(options, std::move(initial), std::move(shards));
}

}  // namespace gossamer

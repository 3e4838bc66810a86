#include "server/shard_process.h"

#include <random>
#include <utility>
#include <vector>

#include "comms/codec.h"
#include "core/error.h"
#include "core/logging.h"
#include "server/admission.h"
#include "server/intervals.h"
#include "server/remote_shards.h"

namespace gossamer {

ShardProcess::ShardProcess(const Options& options, const Parameters& initial, std::size_t shard,
                           Transport& transport)
    : options_(options),
      layout_(*initial.layout),
      run_id_(options.digest()),
      id_(id_of_shard(options, shard)),
      number_(shard),
      transport_(transport),
      shard_(options, ShardPlan(layout_, options.integer("server.shards")).part(initial, shard)) {}

std::string ShardProcess::run(const std::string& address, std::chrono::duration<double> patience,
                              const std::function<bool()>& stop_requested) {
  address_ = address;
  const Hello hello{options_.digest(), layout_.fingerprint(), 0, kWireVersion,
                    options_.integer("server.shards")};
  const Frame registration = encode_hello(run_id_, id_, hello, std::random_device()());
  Clock::time_point last_heard = Clock::now();
  Clock::time_point last_hello{};
  while (!end_) {
    const Clock::time_point now = Clock::now();
    if (stop_requested()) {
      static_cast<void>(
          transport_.send(0, encode_text(FrameType::leave, run_id_, id_, "stopped by a signal")));
      static_cast<void>(transport_.flush(now + kDriverFlush));
      return "signal";
    }
    if (now - last_heard > patience) {
      throw RunError("no word from shard 0 for " +
                     std::to_string(std::chrono::ceil<std::chrono::seconds>(patience).count()) + " s");
    }
    if (!welcome_ && now - last_hello > kDriverRegistration) {
      static_cast<void>(transport_.send(0, registration));
      last_hello = now;
    }
    const auto message = transport_.receive(now + kDriverPoll);
    if (message) {
      if (message.value().from == 0) last_heard = Clock::now();
      handle(message.value());
    } else if (message.fault().kind == FaultKind::malformed) {
      log_warning("dropped a frame: " + message.fault().reason);
    } else if (message.fault().kind == FaultKind::disconnected) {
      // Orders may have been lost with the connection.
      if (message.fault().peer == 0 && welcome_) throw RunError("shard 0 is lost: " + message.fault().reason);
      lose(message.fault().peer);
    }
  }
  return *end_;
}

void ShardProcess::handle(const Message& message) {
  switch (message.frame.header.type) {
    case FrameType::hello:
      return admit(message);
    case FrameType::update:
      return take(message);
    case FrameType::leave:
      return lose(message.from);
    default:
      if (message.from == 0) obey(message.frame);
  }
}

void ShardProcess::obey(const Frame& frame) {
  const auto accept = [](auto result) {
    if (!result) throw RunError("shard 0 says what is not understood: " + result.fault().reason);
    return std::move(result).value();
  };
  switch (frame.header.type) {
    case FrameType::welcome:
      if (frame.header.client == id_ && !std::exchange(welcome_, true))
        tell(encode_text(FrameType::address, run_id_, id_, address_));
      break;
    case FrameType::order:
      for (const ShardOrder& order : accept(decode_orders(frame))) {
        shard_.carry_out(
            order, {[this](const Shard::Model& model) { send_model(model); },
                    [this](ShardSection section) { tell(encode_section(run_id_, std::move(section))); }});
      }
      break;
    case FrameType::section:
      shard_.restore(accept(decode_section(frame)));
      break;
    case FrameType::refuse:
      throw ConfigError("refused by shard 0: " + decode_text(frame).value_or("no reason"));
    case FrameType::finish:
      end_ = decode_text(frame).value_or("no reason");
      if (is_failure(frame)) throw RunError(*end_);
      break;
    default:
      break;
  }
}

void ShardProcess::admit(const Message& message) {
  const ClientId client = message.frame.header.client;
  const std::uint64_t attempt = message.frame.header.sequence;
  const auto refuse = [&](const std::string& reason) {
    log_warning("refused a client: " + reason);
    static_cast<void>(transport_.send(message.from, encode_text(FrameType::refuse, run_id_, 0, reason)));
  };
  const auto hello = decode_hello(message.frame);
  if (!hello) return refuse(hello.fault().reason);
  if (const auto reason = refusal_of(hello.value(), options_, layout_)) return refuse(*reason);
  if (const auto reason = refusal_of_id(client, options_.integer("data.clients"))) return refuse(*reason);
  const auto known = clients_.find(client);
  if (known != clients_.end() && known->second.rank != message.from)
    return refuse("client.id = " + std::to_string(client) + " is taken by another client");
  const bool again = known != clients_.end() && known->second.attempt == attempt;
  clients_[client] = {message.from, attempt};
  static_cast<void>(transport_.send(message.from, encode_text(FrameType::welcome, run_id_, client, "")));
  if (!again) tell(encode_signal(FrameType::linked, run_id_, client));
}

void ShardProcess::take(const Message& message) {
  const FrameHeader& header = message.frame.header;
  const auto sender = clients_.find(header.client);
  if (sender == clients_.end() || sender->second.rank != message.from) {
    log_warning("dropped a frame in the name of client " + std::to_string(header.client) +
                " from somebody else");
    return;
  }
  bytes_up_ += message.frame.wire_bytes();
  const auto part = decode_update(message.frame);
  const auto serving = part ? shard_.take(part.value()) : std::nullopt;
  tell(encode_part(run_id_, {header.client, header.round, serving.has_value(), bytes_down_, bytes_up_,
                             serving.value_or(0)}));
}

// Hashed once for all who get the same.
void ShardProcess::send_model(const Shard::Model& model) {
  const bool same = model_.header.type == FrameType::model && model_.header.round == model.round &&
                    model_.payload.bytes.data() == model.range.payload.bytes.data();
  if (!same) {
    model_ = encode_model(run_id_, model.round, model.client, model.base, model.range);
    model_.header.metadata = static_cast<std::uint8_t>(number_);
  }
  bytes_down_ += model_.wire_bytes();
  const auto client = clients_.find(model.client);
  if (client == clients_.end()) return;  // shard 0 has been told
  static_cast<void>(transport_.send(client->second.rank, readdress(model_, model.client)));
}

void ShardProcess::lose(Rank rank) {
  for (auto client = clients_.begin(); client != clients_.end();) {
    if (client->second.rank != rank) {
      ++client;
      continue;
    }
    tell(encode_signal(FrameType::lost, run_id_, client->first));
    client = clients_.erase(client);
  }
}

void ShardProcess::tell(const Frame& frame) {
  if (const auto sent = transport_.send(0, frame); !sent)
    throw RunError("shard 0 is lost: " + sent.fault().reason);
}

}  // namespace gossamer

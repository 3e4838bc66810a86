#include "comms/split_transport.h"

#include <array>
#include <deque>
#include <utility>

#include "comms/codec.h"

namespace gossamer {
namespace {

enum Side : std::size_t { kAbove, kBelow };

struct Shared {
  std::unique_ptr<Transport> transport;
  std::array<std::deque<Result<Message>>, 2> waiting;
};

bool comes_from_a_client(FrameType type) { return type == FrameType::hello || is_from_member(type); }

class Half final : public Transport {
 public:
  Half(std::shared_ptr<Shared> shared, Side side, std::function<Rank(ClientId)> server_of)
      : shared_(std::move(shared)), side_(side), server_of_(std::move(server_of)) {}

  Rank self() const noexcept override { return shared_->transport->self(); }
  std::string endpoint() const override { return shared_->transport->endpoint(); }

  Result<Message> receive(Clock::time_point deadline) override {
    auto& mine = shared_->waiting[side_];
    auto& others = shared_->waiting[1 - side_];
    while (mine.empty()) {
      auto item = shared_->transport->receive(deadline);
      if (!item && item.fault().kind == FaultKind::timeout) return item;
      if (!item) {
        others.push_back(item.fault());
        mine.emplace_back(item.fault());
      } else if (comes_from_a_client(item.value().frame.header.type) == (side_ == kBelow)) {
        mine.push_back(std::move(item));
      } else {
        others.push_back(std::move(item));
      }
    }
    Result<Message> first = std::move(mine.front());
    mine.pop_front();
    if (first && side_ == kAbove) {
      Message message = std::move(first).value();
      message.from = 0;
      return message;
    }
    return first;
  }

  Result<std::monostate> flush(Clock::time_point deadline) override {
    return shared_->transport->flush(deadline);
  }

 private:
  Result<std::monostate> send_frame(Rank to, const Frame& frame) override {
    return shared_->transport->send(side_ == kAbove ? server_of_(frame.header.client) : to, frame);
  }

  std::shared_ptr<Shared> shared_;
  Side side_;
  std::function<Rank(ClientId)> server_of_;
};

}  // namespace

SplitTransport split_transport(std::unique_ptr<Transport> transport,
                               std::function<Rank(ClientId)> server_of) {
  auto shared = std::make_shared<Shared>();
  shared->transport = std::move(transport);
  return {std::make_unique<Half>(shared, kAbove, std::move(server_of)),
          std::make_unique<Half>(shared, kBelow, nullptr)};
}

}  // namespace gossamer

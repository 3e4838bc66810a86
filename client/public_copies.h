#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>

#include "compression/compressor.h"
#include "core/buffers.h"
#include "core/layout.h"
#include "core/options.h"
#include "core/result.h"
#include "core/update.h"

namespace gossamer {

// Gossip of differences: what everybody knows of the peers' models. A peer sends its neighbours what its
// model has moved away from the public copy of it, compressed, and they and it add what that decodes to to
// their copies, which so stay the same everywhere. What a message leaves out is in the next one. Koloskova,
// Stich, Jaggi: Decentralized stochastic optimization and gossip algorithms with compressed communication,
// ICML 2019 (CHOCO-SGD). One process's copies: of its own peers and of their neighbours. Not thread-safe.
class PublicCopies {
 public:
  // Requires sends_differences(options).
  PublicCopies(const Options& options, const ParameterLayout& layout);

  // Of a peer that lives here, after `round`: the model, or the model and behind it what with_copy() put
  // there. `malformed` where it is neither.
  Result<std::monostate> begin(ClientId own, std::span<const float> model_and_copy, Round round);
  // The model of a peer that lives here, its copy, and what the method keeps.
  SharedFloats with_copy(ClientId own, std::span<const float> model) const;

  // The message of a peer that lives here for `round`; its copy becomes that round's.
  Compressed next(ClientId own, const SharedFloats& model, Round round);
  // Another's message of `round`. Where the copy is of that round already nothing happens; where it is not of
  // the round before, or the content is malformed, a fault, and there is no copy of this peer any more.
  Result<std::monostate> add(ClientId other, const Compressed& content, Round round);
  // Another's whole copy after `round`, as floats; where one of that round or a later one is here, nothing
  // happens. Where it is malformed there is none.
  Result<std::monostate> hold(ClientId other, const Compressed& whole, Round round);

  // A peer's copy after `round`; empty where there is none of that round.
  std::span<const float> after(Round round, ClientId client) const;
  // A copy as it is now, for neighbours who have none.
  Compressed whole(ClientId own) const;

 private:
  struct Copy {
    FloatBuffer values;
    Round round = 0;
    FloatBuffer state;  // the method's, of a peer that lives here
  };

  std::uint64_t seed_;
  std::size_t floats_;
  std::unique_ptr<Compressor> method_, plain_;
  std::map<ClientId, Copy> copies_;
};

}  // namespace gossamer

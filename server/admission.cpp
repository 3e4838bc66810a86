#include "server/admission.h"

namespace gossamer {

std::optional<std::string> refusal_of(const Hello& hello, const Options& options,
                                      const ParameterLayout& layout) {
  if (hello.layout_fingerprint != layout.fingerprint())
    return "its model differs from the server's; start both with the same configuration";
  if (hello.config_digest != options.digest())
    return "its configuration differs from the server's; start both with the same file and flags";
  if (const std::int64_t shards = options.integer("server.shards"); hello.shards != shards)
    return "it takes the server to have " + std::to_string(hello.shards) + " shards, and it has " +
           std::to_string(shards) + "; start both with the same server.shards";
  return std::nullopt;
}

std::optional<std::string> refusal_of_id(ClientId client, std::int64_t population, Children children) {
  const ClientId end = children.first + population;
  if (client >= children.first && client < end) return std::nullopt;
  if (children.are_aggregators || children.first > 0)
    return "this end of the tree expects " + children.name_of(children.first) + " to " +
           children.name_of(end - 1) + "; connect to another one";
  return "client.id = " + std::to_string(client) +
         " is not below data.clients = " + std::to_string(population);
}

}  // namespace gossamer

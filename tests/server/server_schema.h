#pragma once

#include <map>
#include <string>

#include "comms/topologies/topology.h"
#include "compression/compressor.h"
#include "privacy/privacy_plan.h"
#include "server/filters/update_filter.h"
#include "server/server_options.h"

namespace gossamer {

// The server's part of the configuration, with what it reads of the other parts.
inline Options server_options(const std::map<std::string, std::string>& given) {
  auto schema = std::make_shared<OptionSchema>();
  schema->add(integer_option("run.seed", 1, ""));
  for (const char* key : {"run.name", "run.out"}) schema->add(text_option(key, "", ""));
  for (const char* key : {"run.resume", "run.overwrite"}) schema->add(flag_option(key, false, ""));
  schema->add(integer_option("data.clients", 4, ""));
  schema->add(real_option("client.lr", 0.1, ""));
  schema->add(text_option("algorithm.name", "fedavg", ""));
  add_methods(*schema, topologies().describe());
  add_methods(*schema, update_filters().describe(), "topology.name", "tree");
  add_server_options(*schema);
  add_compression_options(*schema);
  add_privacy_options(*schema);
  Options options(schema);
  for (const auto& [key, value] : given) options.set(key, value);
  return options;
}

}  // namespace gossamer

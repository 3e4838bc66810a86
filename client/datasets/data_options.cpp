#include "client/datasets/data_options.h"

#include <cstdlib>

#include "client/datasets/partition.h"

namespace gossamer {

void add_data_options(OptionSchema& schema) {
  schema.add(text_option("data.path", "",
                         "folder (csv, shakespeare: or file) of the data; empty: $GOSSAMER_DATA/<dataset>, "
                         "else ./data/<dataset>"));
  schema.add(integer_option("data.clients", 100,
                            "number of clients (left alone with shakespeare under natural: all its roles)")
                 .at_least(1)
                 .at_most(1e12));
  add_methods(schema, partitions().describe());
  OptionSpec shards = integer_option("data.shards_per_client", 2, "shards that each client gets").at_least(1);
  shards.choosers = {"data.partition"};
  shards.method = "shards";
  schema.add(std::move(shards));
  schema.add(
      real_option("data.alpha", 0.5, "Dirichlet parameter of dirichlet and quantity_skew; smaller: more skew")
          .at_least(0.001)
          .at_most(1e6));
}

std::unique_ptr<FederatedData> make_dataset(Options& options) {
  const std::string& name = options.text("data.dataset");
  if (name == "digits" || name == "shakespeare") options.set_default("data.partition", "natural");
  auto data = datasets().make(options);
  options.set_default("data.clients", std::to_string(data->clients()));
  return data;
}

std::filesystem::path data_path(const Options& options, std::string_view name) {
  if (const std::string& path = options.text("data.path"); !path.empty()) return path;
  const char* root = std::getenv("GOSSAMER_DATA");
  return std::filesystem::path(root != nullptr && *root != '\0' ? root : "data") / name;
}

}  // namespace gossamer

#pragma once

#include <filesystem>
#include <memory>
#include <string_view>

#include "client/datasets/dataset.h"
#include "core/options.h"

namespace gossamer {

// Declares the keys that all data sets share: data.path, data.clients, data.partition and its parameters.
// data.dataset and the keys of single data sets come with add_methods(schema, datasets().describe()). Data
// sets also read run.seed.
void add_data_options(OptionSchema& schema);

// Makes the chosen data set divided among its clients. Also resolves what depends on the data: a
// data.partition that was left alone becomes `natural` where the data set has one, and a data.clients that
// was left alone becomes the number of clients there are, so that the written configuration repeats the run.
// Throws like datasets().make().
std::unique_ptr<FederatedData> make_dataset(Options& options);

// The folder (or file) that holds the data set `name`: data.path, else $GOSSAMER_DATA/<name>, else
// ./data/<name>. It need not exist.
std::filesystem::path data_path(const Options& options, std::string_view name);

}  // namespace gossamer

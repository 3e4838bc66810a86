// gossamer pca: a data set of the examples along their principal directions, found with or without noise.
#include <charconv>
#include <cstdio>
#include <filesystem>

#include "cli/commands.h"
#include "client/datasets/data_options.h"
#include "client/datasets/npy.h"
#include "client/principal_components.h"
#include "core/error.h"
#include "core/files.h"
#include "core/text.h"

namespace gossamer {
namespace {

template <class Number>
Number number_of(const CommandLine& line, const std::string& flag, Number least,
                 const std::string& expected) {
  const std::string& text = line.extra.at(flag);
  Number value = 0;
  const auto [end, fault] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (fault != std::errc() || end != text.data() + text.size() || !(value >= least) ||
      value > Number(1000000))
    throw ConfigError("--" + flag + " = " + text + ": expected " + expected);
  return value;
}

void write_examples(const std::filesystem::path& folder, const std::string& part,
                    const at::Tensor& directions, const ExampleSet& examples) {
  write_atomically(folder / ("x_" + part + ".npy"),
                   npy_text(along(directions, examples), {examples.size(), directions.size(0)}));
  write_atomically(folder / ("y_" + part + ".npy"), npy_text(labels_of(examples)));
}

}  // namespace

int pca_command(const CommandLine& line) {
  Options options = line.options;
  options.set_default("data.clients", "1");
  if (options.integer("data.clients") != 1)
    throw ConfigError("data.clients = " + options.raw("data.clients") +
                      ": gossamer pca needs all examples in one place; expected 1");
  const auto data = make_dataset(options);
  const ExampleShape& shape = data->shape();
  if (shape.kind == FeatureKind::tokens || shape.labels != 1)
    throw ConfigError("data.dataset = " + options.text("data.dataset") +
                      ": gossamer pca takes examples of numbers with one label each");
  const auto dimensions = number_of<std::int64_t>(line, "dimensions", 1, "a whole number above 0");
  if (dimensions > shape.feature_count())
    throw ConfigError("--dimensions = " + std::to_string(dimensions) + ": expected at most " +
                      std::to_string(shape.feature_count()) + ", the features of an example");
  const auto noise = number_of<double>(line, "noise", 0, "a number of at least 0");
  const std::int64_t seed = options.integer("privacy.insecure_seed");
  const auto source =
      seed >= 0 ? make_insecure_noise_source(static_cast<std::uint64_t>(seed)) : make_secure_noise_source();

  const std::filesystem::path folder = line.extra.at("out");
  std::error_code fault;
  std::filesystem::create_directories(folder, fault);
  if (fault) throw RunError(folder.string() + ": cannot be made: " + fault.message());
  const auto examples = data->client(0);
  const at::Tensor directions =
      principal_directions(noisy_second_moments(*examples, noise, *source), dimensions);
  write_examples(folder, "train", directions, *examples);
  write_examples(folder, "test", directions, *data->test());
  std::string ini =
      "[data]\ndataset = npy\npath = " + std::filesystem::absolute(folder).string() + "\nclients = 1\n";
  if (noise > 0) ini += "[privacy]\nsetup_noise = " + shortest(noise) + "\n";
  write_atomically(folder / "data.ini", ini);
  if (line.verbosity >= 0)
    std::printf("%lld training and %lld test examples of %lld numbers%s\nconfiguration: %s\n",
                static_cast<long long>(examples->size()), static_cast<long long>(data->test()->size()),
                static_cast<long long>(dimensions), noise > 0 ? "" : ", without privacy",
                (folder / "data.ini").c_str());
  return 0;
}

}  // namespace gossamer

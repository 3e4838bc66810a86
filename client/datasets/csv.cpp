// Rows of comma-separated numbers with the class in the last column; a random part of them is held out.
#include "client/datasets/csv.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <memory>
#include <numeric>
#include <optional>
#include <string>

#include "client/datasets/data_file.h"
#include "client/datasets/data_options.h"
#include "client/datasets/example_sets.h"
#include "client/datasets/methods.h"

namespace gossamer {
namespace {

constexpr std::uint64_t kMostCsvBytes = std::uint64_t{1} << 32U;
// The stream of random numbers that holds rows out for testing; divide() uses number 0.
constexpr std::uint64_t kHeldOut = 1;

std::string_view trimmed(std::string_view field) {
  const auto is_space = [](char c) { return c == ' ' || c == '\t' || c == '\r'; };
  while (!field.empty() && is_space(field.front())) field.remove_prefix(1);
  while (!field.empty() && is_space(field.back())) field.remove_suffix(1);
  return field;
}

template <class T>
std::optional<T> parse_number(std::string_view field) {
  field = trimmed(field);
  T value{};
  const auto [end, status] = std::from_chars(field.data(), field.data() + field.size(), value);
  if (status != std::errc{} || end != field.data() + field.size()) return std::nullopt;
  return value;
}

// Calls visit(field, position in the line) for each field.
template <class Visit>
void for_each_field(std::string_view line, Visit visit) {
  for (std::size_t begin = 0;;) {
    const std::size_t end = std::min(line.find(',', begin), line.size());
    visit(line.substr(begin, end - begin), begin);
    if (end == line.size()) return;
    begin = end + 1;
  }
}

bool is_header(std::string_view line) {
  bool numbers = true;
  for_each_field(
      line, [&](std::string_view field, std::size_t) { numbers = numbers && parse_number<double>(field); });
  return !numbers;
}

// What a message shows of a field.
std::string shown(std::string_view field) {
  std::string text = "'";
  for (char c : field.substr(0, 24)) text += c >= ' ' && c <= '~' ? c : '?';
  return text + (field.size() > 24 ? "...'" : "'");
}

class Parser {
 public:
  explicit Parser(std::string_view file) : file_(file) {}

  void add_row(std::string_view line, std::size_t offset, std::int64_t number) {
    const std::string where = "line " + std::to_string(number) + ": ";
    const std::int64_t fields = 1 + std::ranges::count(line, ',');
    if (table_.labels.empty()) {
      if (fields < 2) refuse_file(file_, offset, where + "one field; expected features and a label");
      table_.columns = fields - 1;
    } else if (fields != table_.columns + 1) {
      refuse_file(file_, offset,
                  where + std::to_string(fields) + " fields; expected " + std::to_string(table_.columns + 1) +
                      " as above");
    }
    std::int64_t column = 0;
    for_each_field(line, [&](std::string_view field, std::size_t position) {
      if (column++ < table_.columns) {
        const auto value = parse_number<float>(field);
        if (!value || !std::isfinite(*value)) {
          refuse_file(file_, offset + position, where + shown(field) + "; expected a finite number");
        }
        table_.values.push_back(*value);
      } else {
        const auto label = parse_number<std::int32_t>(field);
        if (!label || *label < 0 || *label >= kMostClasses) {
          refuse_file(file_, offset + position,
                      where + "label " + shown(field) + "; expected an integer from 0 to " +
                          std::to_string(kMostClasses - 1));
        }
        table_.labels.push_back(*label);
      }
    });
  }

  CsvTable finish(std::size_t size) {
    if (table_.labels.empty())
      refuse_file(file_, size, size == 0 ? "empty; expected rows of numbers" : "no rows");
    table_.classes = std::max<std::int64_t>(2, std::int64_t{1} + std::ranges::max(table_.labels));
    return std::move(table_);
  }

 private:
  std::string_view file_;
  CsvTable table_;
};

}  // namespace

CsvTable parse_csv(std::string_view file, std::span<const std::byte> bytes) {
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  Parser parser(file);
  std::int64_t number = 0;
  for (std::size_t begin = 0; begin < text.size();) {
    const std::size_t end = std::min(text.find('\n', begin), text.size());
    const std::string_view line = text.substr(begin, end - begin);
    ++number;
    if (!trimmed(line).empty() && !(number == 1 && is_header(line))) parser.add_row(line, begin, number);
    begin = end + 1;
  }
  return parser.finish(text.size());
}

std::unique_ptr<FederatedData> make_csv(const Options& options) {
  std::filesystem::path file = data_path(options, "csv");
  std::error_code ignored;
  if (!std::filesystem::is_regular_file(file, ignored)) {
    file = find_data_file(file, "data.csv", "data.path = FILE names another file");
  }
  const auto bytes = read_data_file(file, kMostCsvBytes);
  const CsvTable table = parse_csv(file.string(), std::as_bytes(std::span(bytes)));

  const auto rows = static_cast<std::int64_t>(table.labels.size());
  if (rows < 2)
    refuse_file(file.string(), bytes.size(), "one row; expected at least one to train and one to test on");
  PartitionTask all;
  all.examples = rows;
  Rng rng(static_cast<std::uint64_t>(options.integer("run.seed")), Purpose::partition, kHeldOut);
  const std::vector<std::uint32_t> order = shuffled_examples(all, rng);
  const auto test_rows = std::clamp<std::int64_t>(
      std::llround(options.real("data.csv.test_fraction") * static_cast<double>(rows)), 1, rows - 1);

  ExampleShape shape;
  shape.kind = FeatureKind::reals;
  shape.features = {table.columns};
  shape.classes = table.classes;
  const auto columns = static_cast<std::size_t>(table.columns);
  const auto pick = [&](std::span<const std::uint32_t> chosen) {
    std::vector<float> values;
    std::vector<std::int32_t> labels;
    values.reserve(chosen.size() * columns);
    for (std::uint32_t row : chosen) {
      const auto features = std::span(table.values).subspan(row * columns, columns);
      values.insert(values.end(), features.begin(), features.end());
      labels.push_back(table.labels[row]);
    }
    return std::make_shared<const RealExamples>(shape, std::move(values), std::move(labels));
  };
  const auto test = pick(std::span(order).first(static_cast<std::size_t>(test_rows)));
  const auto train = pick(std::span(order).subspan(static_cast<std::size_t>(test_rows)));
  return divide_labelled(options, "csv", train, train->labels(), test);
}

}  // namespace gossamer

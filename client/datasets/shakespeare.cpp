// Next-character prediction on plays, one client for each speaking role: McMahan et al. 2017; Caldas et al.:
// "LEAF: a benchmark for federated settings", 2018.
#include "client/datasets/shakespeare.h"

#include <algorithm>
#include <array>
#include <map>
#include <memory>
#include <numeric>

#include "client/datasets/data_file.h"
#include "client/datasets/data_options.h"
#include "client/datasets/example_sets.h"
#include "client/datasets/methods.h"

namespace gossamer {
namespace {

constexpr std::uint64_t kMostShakespeareBytes = std::uint64_t{1} << 30U;
constexpr std::size_t kLongestName = 64;

bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }

// "First Citizen:" names a role.
bool names_role(std::string_view line) {
  return line.size() >= 2 && line.size() <= kLongestName + 1 && line.back() == ':' && is_letter(line.front());
}

void check_text(std::string_view file, std::string_view text) {
  if (text.empty()) refuse_file(file, 0, "empty; expected a play");
  const auto control = std::ranges::find_if(text, [](char c) {
    const auto byte = static_cast<unsigned char>(c);
    return (byte < 0x20 && byte != '\n' && byte != '\r' && byte != '\t') || byte == 0x7F;
  });
  if (control != text.end())
    refuse_file(file, static_cast<std::uint64_t>(control - text.begin()), "not a text");
}

Role split_lines(const std::string& name, const std::vector<std::string_view>& lines) {
  Role role{name, {}, {}};
  const std::size_t train_lines = std::max<std::size_t>(1, lines.size() * 4 / 5);
  for (std::size_t i = 0; i < lines.size(); ++i) {
    std::string& part = i < train_lines ? role.train : role.test;
    part += lines[i];
    part += '\n';
  }
  return role;
}

// All roles' texts of one kind as token numbers, and the windows in them.
struct Windows {
  std::vector<std::uint8_t> tokens;
  std::vector<std::uint32_t> starts;
  std::vector<std::int32_t> owners;  // the number of the role among `roles`

  void add(const std::string& text, const std::array<std::uint8_t, 256>& token_of, std::size_t window,
           std::int32_t owner) {
    const auto offset = static_cast<std::uint32_t>(tokens.size());
    for (char c : text) tokens.push_back(token_of[static_cast<unsigned char>(c)]);
    for (std::uint32_t start : window_starts(text.size(), window)) {
      starts.push_back(offset + start);
      owners.push_back(owner);
    }
  }
};

// The roles that take part: those with a window to train on; of these the `most` with the most text.
std::vector<const Role*> choose_roles(const Play& play, std::size_t window, std::size_t most) {
  std::vector<const Role*> roles;
  for (const Role& role : play.roles) {
    if (role.train.size() > window) roles.push_back(&role);
  }
  if (roles.size() > most) {
    std::ranges::stable_sort(roles, std::greater{}, [](const Role* role) { return role->train.size(); });
    roles.resize(most);
    std::ranges::sort(roles);  // all point into one vector: back to the order of the play
  }
  return roles;
}

}  // namespace

Play parse_play(std::string_view file, std::span<const std::byte> bytes) {
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  check_text(file, text);
  std::vector<std::string_view> names;  // in order of appearance
  std::map<std::string_view, std::vector<std::string_view>> lines_of;
  std::vector<std::string_view>* speaker = nullptr;
  bool after_empty = true;
  for (std::size_t begin = 0; begin < text.size();) {
    const std::size_t end = std::min(text.find('\n', begin), text.size());
    std::string_view line = text.substr(begin, end - begin);
    if (!line.empty() && line.back() == '\r') line.remove_suffix(1);
    if (after_empty && names_role(line)) {
      line.remove_suffix(1);
      const auto [entry, is_new] = lines_of.try_emplace(line);
      if (is_new) names.push_back(line);
      speaker = &entry->second;
      after_empty = false;
    } else if (line.empty()) {
      after_empty = true;
    } else {
      if (speaker == nullptr) refuse_file(file, begin, "a line that no role speaks; expected NAME: above it");
      speaker->push_back(line);
      after_empty = false;
    }
    begin = end + 1;
  }

  Play play;
  std::array<bool, 256> occurs{};
  for (std::string_view name : names) {
    const auto& lines = lines_of[name];
    if (lines.empty()) continue;
    Role role = split_lines(std::string(name), lines);
    for (char c : role.train + role.test) occurs[static_cast<unsigned char>(c)] = true;
    play.roles.push_back(std::move(role));
  }
  if (play.roles.empty()) refuse_file(file, text.size(), "no role speaks a line");
  for (std::size_t byte = 0; byte < occurs.size(); ++byte) {
    if (occurs[byte]) play.vocabulary.push_back(static_cast<std::uint8_t>(byte));
  }
  return play;
}

std::vector<std::uint32_t> window_starts(std::size_t length, std::size_t window) {
  std::vector<std::uint32_t> starts;
  if (length <= window) return starts;
  const std::size_t last = length - 1 - window;
  for (std::size_t start = 0; start < last; start += window)
    starts.push_back(static_cast<std::uint32_t>(start));
  starts.push_back(static_cast<std::uint32_t>(last));
  return starts;
}

std::unique_ptr<FederatedData> make_shakespeare(const Options& options) {
  std::filesystem::path file = data_path(options, "shakespeare");
  std::error_code ignored;
  if (!std::filesystem::is_regular_file(file, ignored)) {
    file =
        find_data_file(file, "input.txt",
                       "scripts/get_data.sh shakespeare DIR downloads it, data.path = DIR names the folder");
  }
  const auto bytes = read_data_file(file, kMostShakespeareBytes);
  const Play play = parse_play(file.string(), std::as_bytes(std::span(bytes)));

  std::array<std::uint8_t, 256> token_of{};
  for (std::size_t i = 0; i < play.vocabulary.size(); ++i)
    token_of[play.vocabulary[i]] = static_cast<std::uint8_t>(i);
  const auto window = static_cast<std::size_t>(options.integer("data.shakespeare.window"));
  const std::unique_ptr<Partition> partition = partitions().make(options);
  const std::int64_t wanted = options.integer("data.clients");
  const bool by_role = partition->one_source();
  const auto roles = choose_roles(
      play, window,
      by_role && options.given("data.clients") ? static_cast<std::size_t>(wanted) : play.roles.size());
  if (by_role && options.given("data.clients") && wanted > static_cast<std::int64_t>(roles.size())) {
    throw ConfigError("data.clients = " + std::to_string(wanted) + ": " + file.string() + " has " +
                      std::to_string(roles.size()) + " roles with more than " + std::to_string(window) +
                      " characters to train on, so at most that many clients");
  }

  Windows train;
  Windows test;
  for (std::size_t i = 0; i < roles.size(); ++i) {
    train.add(roles[i]->train, token_of, window, static_cast<std::int32_t>(i));
  }
  for (const Role& role : play.roles) test.add(role.test, token_of, window, 0);
  if (train.starts.empty() || test.starts.empty()) {
    refuse_file(file.string(), bytes.size(),
                "no role has more than " + std::to_string(window) +
                    " characters (data.shakespeare.window) to " +
                    (train.starts.empty() ? "train on" : "test on"));
  }

  PartitionTask task;
  task.dataset = "shakespeare";
  task.examples = static_cast<std::int64_t>(train.starts.size());
  task.owners = train.owners;
  task.clients = by_role ? static_cast<std::int64_t>(roles.size()) : wanted;
  task.seed = static_cast<std::uint64_t>(options.integer("run.seed"));
  Division division = partition->divide(task);

  ExampleShape shape;
  shape.kind = FeatureKind::tokens;
  shape.features = {static_cast<std::int64_t>(window)};
  shape.labels = static_cast<std::int64_t>(window);
  shape.classes = static_cast<std::int64_t>(play.vocabulary.size());
  const auto examples = [&](Windows& windows) {
    return std::make_shared<const TokenExamples>(
        shape, std::make_shared<const std::vector<std::uint8_t>>(std::move(windows.tokens)),
        std::move(windows.starts));
  };
  return std::make_unique<DividedData>(examples(train), examples(test), std::move(division));
}

}  // namespace gossamer

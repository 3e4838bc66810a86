#include "core/registry.h"

namespace gossamer {

void add_methods(OptionSchema& schema, const MethodGroup& group, const std::string& owner_chooser,
                 const std::string& owner_method) {
  std::vector<std::string> names;
  for (const MethodInfo& method : group.methods) names.push_back(method.name);
  OptionSpec choice = text_option(group.chooser, group.default_name, group.help).one_of(names);
  if (!owner_chooser.empty()) choice.choosers = {owner_chooser};
  choice.method = owner_method;
  schema.add(std::move(choice));
  for (const MethodInfo& method : group.methods) {
    for (OptionSpec spec : method.options) {
      spec.choosers = {group.chooser};
      spec.method = method.name;
      schema.add(std::move(spec));
    }
  }
}

}  // namespace gossamer

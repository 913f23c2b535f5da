#include "clew/wasm/detail/abi.hpp"

#include <algorithm>
#include <array>
#include <vector>

#include "clew/base/check.hpp"
#include "clew/base/text.hpp"

namespace clew::wasm {
namespace {

std::string_view text_of(const wt::Bytes* bytes) { return {bytes->data, bytes->size}; }

std::string kinds_of(const wt::Api& api, const wt::Vec<wt::ValType*>& types) {
  constexpr std::string_view letters = "iIfF";
  std::string kinds;
  for (std::size_t i = 0; i < types.size; ++i) {
    const auto kind = api.wasm_valtype_kind(types.data[i]);
    kinds += kind < letters.size() ? letters[kind] : '?';
  }
  return kinds;
}

wt::Vec<wt::ValType*> types_of(const wt::Api& api, std::string_view letters) {
  std::vector<wt::ValType*> types;
  for (const char letter : letters) {
    types.push_back(api.wasm_valtype_new(letter == 'i' ? wt::i32 : wt::i64));
  }
  wt::Vec<wt::ValType*> made{};
  api.wasm_valtype_vec_new(&made, types.size(), types.data());
  return made;
}

const HostFunction* find(std::string_view module, std::string_view name) {
  for (const auto functions : {wasi_functions(), clew_functions()}) {
    for (const auto& function : functions) {
      if (function.module == module && function.name == name) return &function;
    }
  }
  return nullptr;
}

std::string nearest_import(std::string_view module, std::string_view name) {
  std::vector<std::string_view> names;
  for (const auto functions : {wasi_functions(), clew_functions()}) {
    for (const auto& function : functions) {
      if (function.module == module) names.push_back(function.name);
    }
  }
  return std::string(nearest(name, names));
}

Result<void> check_import(const wt::Api& api, const wt::ImportType* import,
                          const std::string& module_name) {
  const auto module = text_of(api.wasm_importtype_module(import));
  const auto name = text_of(api.wasm_importtype_name(import));
  const auto full = fmt::format("{}.{}", module, name);
  const auto refuse = [&](const std::string& why) {
    return invalid_input("module.imports", Value(full), why)
        .with("import", full)
        .with("module", module_name);
  };
  const auto* offered = find(module, name);
  if (offered == nullptr) {
    const auto near = nearest_import(module, name);
    return refuse("only imports that the host offers" +
                  (near.empty() ? "" : fmt::format(" (did you mean \"{}\"?)", near)));
  }
  const auto* type = api.wasm_importtype_type(import);
  if (api.wasm_externtype_kind(type) != wt::type_func) return refuse("a function");
  const auto* function = api.wasm_externtype_as_functype_const(type);
  if (kinds_of(api, *api.wasm_functype_params(function)) != offered->parameters ||
      kinds_of(api, *api.wasm_functype_results(function)) != offered->results) {
    return refuse(fmt::format("the type ({}) -> ({}), where i is i32 and I is i64",
                              offered->parameters, offered->results));
  }
  return {};
}

Result<void> check_imports(const wt::Api& api, const wt::Module* module, const std::string& name) {
  wt::Vec<wt::ImportType*> imports{};
  api.wasmtime_module_imports(module, &imports);
  Result<void> checked;
  for (std::size_t i = 0; i < imports.size && checked; ++i) {
    checked = check_import(api, imports.data[i], name);
  }
  api.wasm_importtype_vec_delete(&imports);
  return checked;
}

bool is_command(const wt::Api& api, const wt::ExternType* type) {
  if (api.wasm_externtype_kind(type) != wt::type_func) return false;
  const auto* function = api.wasm_externtype_as_functype_const(type);
  return api.wasm_functype_params(function)->size == 0 &&
         api.wasm_functype_results(function)->size == 0;
}

Result<void> check_exports(const wt::Api& api, const wt::Module* module, const std::string& name) {
  wt::Vec<wt::ExportType*> exports{};
  api.wasmtime_module_exports(module, &exports);
  bool start = false;
  bool memory = false;
  for (std::size_t i = 0; i < exports.size; ++i) {
    const auto exported = text_of(api.wasm_exporttype_name(exports.data[i]));
    const auto* type = api.wasm_exporttype_type(exports.data[i]);
    start = start || (exported == "_start" && is_command(api, type));
    memory = memory || (exported == "memory" && api.wasm_externtype_kind(type) == wt::type_memory);
  }
  api.wasm_exporttype_vec_delete(&exports);
  const auto refuse = [&](std::string_view missing, std::string_view what) {
    return invalid_input("module.exports", Value(name),
                         fmt::format("an export \"{}\" that is {}", missing, what))
        .with("export", missing)
        .with("module", name);
  };
  if (!start) return refuse("_start", "a function of no parameters and results (a WASI command)");
  if (!memory) return refuse("memory", "a memory");
  return {};
}

}  // namespace

void define_abi(const wt::Api& api, wt::Linker* linker) {
  for (const auto functions : {wasi_functions(), clew_functions()}) {
    for (const auto& function : functions) {
      auto parameters = types_of(api, function.parameters);
      auto results = types_of(api, function.results);
      wt::FuncType* const type = api.wasm_functype_new(&parameters, &results);
      auto* const failure = api.wasmtime_linker_define_func_unchecked(
          linker, function.module.data(), function.module.size(), function.name.data(),
          function.name.size(), type, function.call, const_cast<wt::Api*>(&api), nullptr);
      api.wasm_functype_delete(type);
      CLEW_CHECK(failure == nullptr);  // no name stands twice in the table
    }
  }
}

Result<void> check_abi(const wt::Api& api, const wt::Module* module, const std::string& name) {
  CLEW_TRY(check_imports(api, module, name));
  return check_exports(api, module, name);
}

}  // namespace clew::wasm

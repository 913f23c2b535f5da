// wasm/detail/wasmtime_api.hpp: the part of wasmtime's C API that Clew calls, declared by hand.
//
// The library is the one inside the PyPI package `wasmtime`, which brings no headers. Layouts and
// signatures are those of its version 50; a package of another major version is refused.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "clew/base/result.hpp"

namespace clew::wasm::wt {

struct Config;
struct Engine;
struct Store;
struct Context;
struct Module;
struct Linker;
struct InstancePre;
struct Failure;  // wasmtime_error_t
struct Trap;
struct Caller;
struct FuncType;
struct ValType;
struct ImportType;
struct ExportType;
struct ExternType;
struct MemoryType;

template <typename T>
struct Vec {
  std::size_t size;
  T* data;
};
using Bytes = Vec<char>;  // also a name, and a message that ends with a zero byte

struct Func {
  std::uint64_t store_id;
  void* hidden;
};
struct Memory {
  struct {
    std::uint64_t store_id;
    std::uint32_t hidden;
  } in_store;
  std::uint32_t hidden;
};
struct Global {
  std::uint64_t store_id;
  std::uint32_t hidden[3];
};
struct Instance {
  std::uint64_t store_id;
  std::size_t hidden;
};
enum ExternKind : std::uint8_t { extern_func = 0, extern_memory = 3 };  // of wasmtime_extern_t
enum TypeKind : std::uint8_t { type_func = 0, type_memory = 3 };        // of wasm_externtype_t
struct Extern {
  std::uint8_t kind;
  union {
    Func func;
    Global global;
    Memory memory;
    void* shared_memory;
  } of;
};
union ValRaw {
  std::int32_t i32;
  std::int64_t i64;
  std::uint8_t v128[16];
};
static_assert(sizeof(ValRaw) == 16 && sizeof(Memory) == 24 && sizeof(Extern) == 32);

enum TrapCode : std::uint8_t {
  trap_stack_overflow = 0,
  trap_interrupt = 10,
  trap_out_of_fuel = 11
};
enum ValKind : std::uint8_t { i32 = 0, i64 = 1 };

using Callback = Trap* (*)(void* env, Caller* caller, ValRaw* args_and_results, std::size_t count);
using Finalizer = void (*)(void*);
using EpochCallback = Failure* (*)(Context * context, void* data, std::uint64_t* ticks,
                                   std::uint8_t* kind);

struct LinearMemory {
  void* env;
  std::uint8_t* (*get)(void* env, std::size_t* size, std::size_t* capacity);
  Failure* (*grow)(void* env, std::size_t size);
  Finalizer finalizer;
};
struct MemoryCreator {
  void* env;
  Failure* (*make)(void* env, const MemoryType* type, std::size_t minimum, std::size_t maximum,
                   std::size_t reserved, std::size_t guard, LinearMemory* made);
  Finalizer finalizer;
};

// F(result, name, parameters)
#define CLEW_WASMTIME_FUNCTIONS(F)                                                                 \
  F(Config*, wasm_config_new, ())                                                                  \
  F(void, wasmtime_config_consume_fuel_set, (Config*, bool))                                       \
  F(void, wasmtime_config_epoch_interruption_set, (Config*, bool))                                 \
  F(void, wasmtime_config_max_wasm_stack_set, (Config*, std::size_t))                              \
  F(void, wasmtime_config_wasm_threads_set, (Config*, bool))                                       \
  F(void, wasmtime_config_wasm_gc_set, (Config*, bool))                                            \
  F(void, wasmtime_config_wasm_function_references_set, (Config*, bool))                           \
  F(void, wasmtime_config_wasm_relaxed_simd_set, (Config*, bool))                                  \
  F(void, wasmtime_config_wasm_multi_memory_set, (Config*, bool))                                  \
  F(void, wasmtime_config_wasm_memory64_set, (Config*, bool))                                      \
  F(void, wasmtime_config_cranelift_nan_canonicalization_set, (Config*, bool))                     \
  F(void, wasmtime_config_parallel_compilation_set, (Config*, bool))                               \
  F(void, wasmtime_config_memory_may_move_set, (Config*, bool))                                    \
  F(void, wasmtime_config_memory_reservation_set, (Config*, std::uint64_t))                        \
  F(void, wasmtime_config_memory_guard_size_set, (Config*, std::uint64_t))                         \
  F(void, wasmtime_config_signals_based_traps_set, (Config*, bool))                                \
  F(void, wasmtime_config_memory_init_cow_set, (Config*, bool))                                    \
  F(void, wasmtime_config_host_memory_creator_set, (Config*, MemoryCreator*))                      \
  F(Engine*, wasm_engine_new_with_config, (Config*))                                               \
  F(void, wasm_engine_delete, (Engine*))                                                           \
  F(void, wasmtime_engine_increment_epoch, (const Engine*))                                        \
  F(Failure*, wasmtime_wat2wasm, (const char*, std::size_t, Bytes*))                               \
  F(Failure*, wasmtime_module_new, (Engine*, const std::uint8_t*, std::size_t, Module**))          \
  F(void, wasmtime_module_delete, (Module*))                                                       \
  F(void, wasmtime_module_imports, (const Module*, Vec<ImportType*>*))                             \
  F(void, wasmtime_module_exports, (const Module*, Vec<ExportType*>*))                             \
  F(Failure*, wasmtime_module_serialize, (const Module*, Bytes*))                                  \
  F(Failure*, wasmtime_module_deserialize, (Engine*, const std::uint8_t*, std::size_t, Module**))  \
  F(const Bytes*, wasm_importtype_module, (const ImportType*))                                     \
  F(const Bytes*, wasm_importtype_name, (const ImportType*))                                       \
  F(const ExternType*, wasm_importtype_type, (const ImportType*))                                  \
  F(void, wasm_importtype_vec_delete, (Vec<ImportType*>*))                                         \
  F(const Bytes*, wasm_exporttype_name, (const ExportType*))                                       \
  F(const ExternType*, wasm_exporttype_type, (const ExportType*))                                  \
  F(void, wasm_exporttype_vec_delete, (Vec<ExportType*>*))                                         \
  F(std::uint8_t, wasm_externtype_kind, (const ExternType*))                                       \
  F(const FuncType*, wasm_externtype_as_functype_const, (const ExternType*))                       \
  F(const Vec<ValType*>*, wasm_functype_params, (const FuncType*))                                 \
  F(const Vec<ValType*>*, wasm_functype_results, (const FuncType*))                                \
  F(FuncType*, wasm_functype_new, (Vec<ValType*>*, Vec<ValType*>*))                                \
  F(void, wasm_functype_delete, (FuncType*))                                                       \
  F(ValType*, wasm_valtype_new, (std::uint8_t))                                                    \
  F(std::uint8_t, wasm_valtype_kind, (const ValType*))                                             \
  F(void, wasm_valtype_vec_new, (Vec<ValType*>*, std::size_t, ValType* const*))                    \
  F(void, wasm_byte_vec_delete, (Bytes*))                                                          \
  F(Linker*, wasmtime_linker_new, (Engine*))                                                       \
  F(void, wasmtime_linker_delete, (Linker*))                                                       \
  F(Failure*, wasmtime_linker_define_func_unchecked,                                               \
    (Linker*, const char*, std::size_t, const char*, std::size_t, const FuncType*, Callback,       \
     void*, Finalizer))                                                                            \
  F(Failure*, wasmtime_linker_instantiate_pre, (const Linker*, const Module*, InstancePre**))      \
  F(Failure*, wasmtime_instance_pre_instantiate,                                                   \
    (const InstancePre*, Context*, Instance*, Trap**))                                             \
  F(void, wasmtime_instance_pre_delete, (InstancePre*))                                            \
  F(bool, wasmtime_instance_export_get,                                                            \
    (Context*, const Instance*, const char*, std::size_t, Extern*))                                \
  F(Store*, wasmtime_store_new, (Engine*, void*, Finalizer))                                       \
  F(Context*, wasmtime_store_context, (Store*))                                                    \
  F(void, wasmtime_store_limiter,                                                                  \
    (Store*, std::int64_t, std::int64_t, std::int64_t, std::int64_t, std::int64_t))                \
  F(void, wasmtime_store_epoch_deadline_callback, (Store*, EpochCallback, void*, Finalizer))       \
  F(void, wasmtime_store_delete, (Store*))                                                         \
  F(void*, wasmtime_context_get_data, (const Context*))                                            \
  F(Failure*, wasmtime_context_set_fuel, (Context*, std::uint64_t))                                \
  F(Failure*, wasmtime_context_get_fuel, (const Context*, std::uint64_t*))                         \
  F(void, wasmtime_context_set_epoch_deadline, (Context*, std::uint64_t))                          \
  F(Failure*, wasmtime_func_call_unchecked, (Context*, const Func*, ValRaw*, std::size_t, Trap**)) \
  F(Context*, wasmtime_caller_context, (Caller*))                                                  \
  F(bool, wasmtime_caller_export_get, (Caller*, const char*, std::size_t, Extern*))                \
  F(std::uint8_t*, wasmtime_memory_data, (Context*, const Memory*))                                \
  F(std::size_t, wasmtime_memory_data_size, (const Context*, const Memory*))                       \
  F(Failure*, wasmtime_error_new, (const char*))                                                   \
  F(void, wasmtime_error_message, (const Failure*, Bytes*))                                        \
  F(void, wasmtime_error_delete, (Failure*))                                                       \
  F(Trap*, wasmtime_trap_new, (const char*, std::size_t))                                          \
  F(bool, wasmtime_trap_code, (const Trap*, std::uint8_t*))                                        \
  F(void, wasm_trap_message, (const Trap*, Bytes*))                                                \
  F(void, wasm_trap_delete, (Trap*))

// The functions of one loaded library. Immutable once loaded, thread-safe.
struct Api {
#define CLEW_DECLARE(result, name, parameters) result(*name) parameters = nullptr;
  CLEW_WASMTIME_FUNCTIONS(CLEW_DECLARE)
#undef CLEW_DECLARE

  // Loads the library at `path`; it stays loaded, since it keeps per-thread data of its own.
  // Error: `unsupported` that says what to install, also for a library that lacks a function.
  static Result<std::shared_ptr<const Api>> load(const std::string& path);

  // The message of a failure or trap, which is deleted.
  std::string take(Failure* failure) const;
  std::string take(Trap* trap) const;
};

}  // namespace clew::wasm::wt

/* Counts the guest instructions that are executed between marks: a plug-in for qemu's binary translator.
 *
 * Options: mark=SYMBOL  a function of the guest; its calls come in pairs, and each pair encloses a segment
 *          out=FILE     receives {"segments":[123,456]} when the guest ends
 *
 * An instruction counts once each time it is issued, whether its condition holds or not. A segment is exact
 * and the same in every run: the instructions after the first call's block up to and including the second's.
 * The interface is declared here, as documented in qemu's "TCG plugins" manual, because distributions package
 * the emulator without its header. Only callbacks are used: their signatures are the same in all versions.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifndef QEMU_PLUGIN_VERSION
#define QEMU_PLUGIN_VERSION 1
#endif
#define EXPORT __attribute__((visibility("default")))

typedef uint64_t plugin_id;
struct qemu_plugin_tb;
struct qemu_plugin_insn;
enum registers { NO_REGISTERS };
typedef void (*translation_callback)(plugin_id id, struct qemu_plugin_tb* block);
typedef void (*execution_callback)(unsigned int cpu, void* data);
typedef void (*exit_callback)(plugin_id id, void* data);

void qemu_plugin_register_vcpu_tb_trans_cb(plugin_id id, translation_callback callback);
void qemu_plugin_register_vcpu_tb_exec_cb(struct qemu_plugin_tb* block, execution_callback callback,
                                          enum registers use, void* data);
void qemu_plugin_register_vcpu_insn_exec_cb(struct qemu_plugin_insn* instruction, execution_callback callback,
                                            enum registers use, void* data);
void qemu_plugin_register_atexit_cb(plugin_id id, exit_callback callback, void* data);
size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb* block);
struct qemu_plugin_insn* qemu_plugin_tb_get_insn(const struct qemu_plugin_tb* block, size_t index);
const char* qemu_plugin_insn_symbol(const struct qemu_plugin_insn* instruction);

EXPORT int qemu_plugin_version = QEMU_PLUGIN_VERSION;

static const char* mark_symbol;
static const char* output_path;
static uint64_t executed;      /* instructions since the guest started */
static uint64_t segment_begin; /* value of `executed` at the opening mark */
static bool inside;            /* between an opening and a closing mark */
static uint64_t* segments;
static size_t segment_count, segment_capacity;

static void append_segment(uint64_t instructions) {
  if (segment_count == segment_capacity) {
    segment_capacity = segment_capacity == 0 ? 256 : 2 * segment_capacity;
    segments = realloc(segments, segment_capacity * sizeof *segments);
    if (segments == NULL) abort();
  }
  segments[segment_count++] = instructions;
}

static void on_block(unsigned int cpu, void* data) {
  (void)cpu;
  executed += (uintptr_t)data;
}

static void on_mark(unsigned int cpu, void* data) {
  (void)cpu;
  (void)data;
  if (inside) append_segment(executed - segment_begin);
  segment_begin = executed;
  inside = !inside;
}

/* A function is entered by a branch, so its first instruction begins a block. */
static void on_translation(plugin_id id, struct qemu_plugin_tb* block) {
  (void)id;
  const size_t count = qemu_plugin_tb_n_insns(block);
  struct qemu_plugin_insn* const first = qemu_plugin_tb_get_insn(block, 0);
  const char* const symbol = qemu_plugin_insn_symbol(first);
  qemu_plugin_register_vcpu_tb_exec_cb(block, on_block, NO_REGISTERS, (void*)(uintptr_t)count);
  if (symbol != NULL && strcmp(symbol, mark_symbol) == 0) {
    qemu_plugin_register_vcpu_insn_exec_cb(first, on_mark, NO_REGISTERS, NULL);
  }
}

static void on_exit_of_guest(plugin_id id, void* data) {
  (void)id;
  (void)data;
  FILE* const out = fopen(output_path, "w");
  if (out == NULL) return;
  fputs("{\"segments\":[", out);
  for (size_t i = 0; i < segment_count; ++i) {
    fprintf(out, "%s%llu", i == 0 ? "" : ",", (unsigned long long)segments[i]);
  }
  fputs("]}\n", out);
  fclose(out);
}

/* `info` describes the guest; nothing of it is needed. */
EXPORT int qemu_plugin_install(plugin_id id, const void* info, int argc, char** argv) {
  (void)info;
  for (int i = 0; i < argc; ++i) {
    if (strncmp(argv[i], "mark=", 5) == 0) mark_symbol = argv[i] + 5;
    if (strncmp(argv[i], "out=", 4) == 0) output_path = argv[i] + 4;
  }
  if (mark_symbol == NULL || output_path == NULL) return -1;
  qemu_plugin_register_vcpu_tb_trans_cb(id, on_translation);
  qemu_plugin_register_atexit_cb(id, on_exit_of_guest, NULL);
  return 0;
}

/* launcher_program OPTIONS DEVICE [STREAM]: creates an engine of the network `net`, runs it twice on floats from the
 * standard input, writes what it gives, and prints the name of the first result that is not OK.
 *
 * With STREAM it also computes on the default stream, from memory on the GPU that the run before has filled. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "net.h"

static const size_t input_bytes[] = NET_INPUT_BYTES, output_bytes[] = NET_OUTPUT_BYTES;

static int report(const char* task, int result) {
  printf("%s: %s\n", task, net_error_name(result));
  return result != 0;
}

static int check_interface(net_engine* engine) {
  const void* const* no_inputs = NULL;
  void* const* no_outputs = NULL;
  return net_create(NULL, 0, 0) != NET_ERROR_NULL || net_run(engine, no_inputs, no_outputs) != NET_ERROR_NULL ||
         net_enqueue(NULL, NULL) != NET_ERROR_NULL || net_input(engine, NET_INPUT_COUNT) != NULL ||
         net_output(engine, -1) != NULL || net_device_input(engine, -1) != 0 ||
         net_device_output(engine, NET_OUTPUT_COUNT) != 0 || net_device_input(engine, 0) == 0;
}

int main(int argc, char** argv) {
  net_engine* engine = NULL;
  const unsigned options = (unsigned)atoi(argv[1]);
  if (report("create", net_create(&engine, atoi(argv[2]), options))) return engine != NULL ? 2 : 1;
  if (check_interface(engine)) return 3;
  void *input = malloc(input_bytes[0]), *output = malloc(output_bytes[0]);
  if (options & NET_MAPPED) {
    /* Nothing is copied then. */
    free(input);
    free(output);
    input = net_input(engine, 0);
    output = net_output(engine, 0);
  }
  const int read = fread(input, 1, input_bytes[0], stdin) == input_bytes[0];
  int failed = !read;
  for (int run = 0; run < 2 && !failed; ++run) {
    failed = report("run", net_run(engine, (const void* const[]){input}, (void* const[]){output}));
  }
  if (argc > 3 && !failed) failed = report("enqueue", net_enqueue(engine, NULL));
  for (size_t i = 0; i < output_bytes[0] / sizeof(float) && !failed; ++i) printf("%.9g\n", ((float*)output)[i]);
  if ((options & NET_MAPPED) == 0) {
    free(input);
    free(output);
  }
  net_destroy(engine);
  net_destroy(NULL);
  return failed;
}

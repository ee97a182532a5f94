// Runs any network of an Android package once, on the HTP of a phone or in the emulator of x86-64 Linux:
//
//   infer NET_htp.onnx FOLDER_OF_LIBRARIES outputs.bin input.bin [...]
//
// A file of an input has its numbers as they are in memory; in the file of outputs they follow each other.

#include <edgecompile_htp.hpp>

#include <cstdio>
#include <fstream>
#include <iterator>
#include <vector>

namespace {

std::vector<char> read(const char* path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

int infer(int argc, char** argv) {
  const std::vector<char> context = read(argv[1]);
  const edgecompile::HtpSession network(context.data(), context.size(), argv[2]);
  std::vector<std::vector<char>> tensors;
  for (int i = 4; i < argc; ++i) tensors.push_back(read(argv[i]));
  std::vector<const void*> inputs;
  std::vector<std::size_t> sizes;
  for (const std::vector<char>& tensor : tensors) {
    inputs.push_back(tensor.data());
    sizes.push_back(tensor.size());
  }
  if (sizes != network.input_bytes()) throw edgecompile::HtpError("the files are not as large as the inputs");

  std::vector<std::vector<char>> results;
  std::vector<void*> outputs;
  for (const std::size_t bytes : network.output_bytes()) results.emplace_back(bytes);
  for (std::vector<char>& result : results) outputs.push_back(result.data());
  network.run(inputs.data(), outputs.data());
  std::ofstream file(argv[3], std::ios::binary);
  for (const std::vector<char>& result : results) file.write(result.data(), static_cast<std::streamsize>(result.size()));
  return file.flush() ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 5) {
    std::fprintf(stderr, "usage: %s NET_htp.onnx FOLDER_OF_LIBRARIES outputs.bin input.bin [...]\n", argv[0]);
    return 2;
  }
  try {
    return infer(argc, argv);
  } catch (const edgecompile::HtpError& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
}

// Runs the context of a network once, on the HTP of a phone or in the emulator of x86-64 Linux:
//
//   infer NET_htp.onnx FOLDER_OF_QNN_LIBRARIES outputs.f32 input.f32 [...]
//
// Inputs are files of raw float32 in the order of the network; in the file of outputs they follow each other.

#include <onnxruntime_c_api.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

static const OrtApi* const ort = OrtGetApiBase()->GetApi(24);  // onnxruntime 1.24 or later

static void check(OrtStatus* status) {
  if (status == nullptr) return;
  std::fprintf(stderr, "%s\n", ort->GetErrorMessage(status));
  std::exit(1);
}

// All of the network on the HTP, nothing on the CPU.
static OrtSessionOptions* htp_only(OrtEnv* env, const std::string& folder) {
  const char* name = "QNNExecutionProvider";
  check(ort->RegisterExecutionProviderLibrary(env, name, (folder + "/libonnxruntime_providers_qnn.so").c_str()));
  const OrtEpDevice* const* all = nullptr;
  size_t count = 0;
  check(ort->GetEpDevices(env, &all, &count));
  const OrtEpDevice* device = nullptr;
  for (size_t i = 0; i < count; ++i) {
    const bool is_npu = ort->HardwareDevice_Type(ort->EpDevice_Device(all[i])) == OrtHardwareDeviceType_NPU;
    if (std::strcmp(ort->EpDevice_EpName(all[i]), name) == 0 && (device == nullptr || is_npu)) device = all[i];
  }
  if (device == nullptr) {
    std::fprintf(stderr, "there is no device for %s\n", name);
    std::exit(1);
  }
  const std::string backend = folder + "/libQnnHtp.so";
  const char* keys[] = {"backend_path", "htp_performance_mode", "offload_graph_io_quantization"};
  const char* values[] = {backend.c_str(), "burst", "0"};
  OrtSessionOptions* options = nullptr;
  check(ort->CreateSessionOptions(&options));
  check(ort->AddSessionConfigEntry(options, "session.disable_cpu_ep_fallback", "1"));
  check(ort->SessionOptionsAppendExecutionProvider_V2(options, env, &device, 1, keys, values, 3));
  return options;
}

// The float32 tensor in a file, in the shape that the network's input has.
static OrtValue* read_input(OrtSession* session, size_t index, const char* path, std::vector<char>* bytes) {
  std::ifstream file(path, std::ios::binary);
  bytes->assign(std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>());
  OrtTypeInfo* type = nullptr;
  check(ort->SessionGetInputTypeInfo(session, index, &type));
  const OrtTensorTypeAndShapeInfo* tensor = nullptr;
  check(ort->CastTypeInfoToTensorInfo(type, &tensor));
  size_t rank = 0;
  check(ort->GetDimensionsCount(tensor, &rank));
  std::vector<int64_t> shape(rank);
  check(ort->GetDimensions(tensor, shape.data(), rank));
  ort->ReleaseTypeInfo(type);
  OrtMemoryInfo* memory = nullptr;
  check(ort->CreateCpuMemoryInfo(OrtArenaAllocator, OrtMemTypeDefault, &memory));
  OrtValue* value = nullptr;
  check(ort->CreateTensorWithDataAsOrtValue(memory, bytes->data(), bytes->size(), shape.data(), rank,
                                            ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT, &value));
  ort->ReleaseMemoryInfo(memory);
  return value;
}

static void write_output(OrtValue* value, std::ofstream& file) {
  OrtTensorTypeAndShapeInfo* tensor = nullptr;
  check(ort->GetTensorTypeAndShape(value, &tensor));
  size_t elements = 0;
  check(ort->GetTensorShapeElementCount(tensor, &elements));
  ort->ReleaseTensorTypeAndShapeInfo(tensor);
  void* data = nullptr;
  check(ort->GetTensorMutableData(value, &data));
  file.write(static_cast<const char*>(data), static_cast<std::streamsize>(elements * sizeof(float)));
}

int main(int argc, char** argv) {
  if (argc < 5) {
    std::fprintf(stderr, "usage: %s NET_htp.onnx FOLDER_OF_QNN_LIBRARIES outputs.f32 input.f32 [...]\n", argv[0]);
    return 2;
  }
  OrtEnv* env = nullptr;
  check(ort->CreateEnv(ORT_LOGGING_LEVEL_ERROR, "infer", &env));
  OrtSessionOptions* options = htp_only(env, argv[2]);
  OrtSession* session = nullptr;
  check(ort->CreateSession(env, argv[1], options, &session));

  size_t inputs = 0, outputs = 0;
  check(ort->SessionGetInputCount(session, &inputs));
  check(ort->SessionGetOutputCount(session, &outputs));
  if (inputs != static_cast<size_t>(argc - 4)) {
    std::fprintf(stderr, "the network has %zu inputs\n", inputs);
    return 2;
  }
  OrtAllocator* allocator = nullptr;
  check(ort->GetAllocatorWithDefaultOptions(&allocator));
  std::vector<char*> names(inputs + outputs);
  std::vector<std::vector<char>> data(inputs);
  std::vector<OrtValue*> values(inputs + outputs, nullptr);
  for (size_t i = 0; i < inputs; ++i) {
    check(ort->SessionGetInputName(session, i, allocator, &names[i]));
    values[i] = read_input(session, i, argv[4 + i], &data[i]);
  }
  for (size_t i = 0; i < outputs; ++i) {
    check(ort->SessionGetOutputName(session, i, allocator, &names[inputs + i]));
  }
  check(ort->Run(session, nullptr, names.data(), values.data(), inputs, names.data() + inputs, outputs,
                 values.data() + inputs));
  std::ofstream file(argv[3], std::ios::binary);
  for (size_t i = 0; i < outputs; ++i) write_output(values[inputs + i], file);

  for (OrtValue* value : values) ort->ReleaseValue(value);
  for (char* name : names) check(ort->AllocatorFree(allocator, name));
  ort->ReleaseSession(session);
  ort->ReleaseSessionOptions(options);
  check(ort->UnregisterExecutionProviderLibrary(env, "QNNExecutionProvider"));
  ort->ReleaseEnv(env);
  return file.flush() ? 0 : 1;
}

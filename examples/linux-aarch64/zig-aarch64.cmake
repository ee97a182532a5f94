# Toolchain file: static programs for 64-bit Arm Linux by the zig compiler, which `pip install ziglang` brings.
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR aarch64)
set(CMAKE_C_COMPILER python -m ziglang cc)
set(CMAKE_C_COMPILER_TARGET aarch64-linux-musl)
set(CMAKE_EXE_LINKER_FLAGS_INIT -static)
set(CMAKE_FIND_ROOT_PATH_MODE_PACKAGE BOTH)

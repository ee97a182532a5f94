# What of Zephyr the packages use, on the board of examples/firmware-cortex-m: enough to build and run an application.
# STUB_BOARD is that example's folder `board`.
project(zephyr_stub C)

file(STRINGS "${CMAKE_SOURCE_DIR}/prj.conf" settings REGEX "^CONFIG_")
foreach(setting ${settings})
  string(REGEX MATCH "^(CONFIG_[A-Za-z0-9_]+)=(.*)$" matched "${setting}")
  set(${CMAKE_MATCH_1} "${CMAKE_MATCH_2}")
endforeach()

add_library(zephyr_interface INTERFACE)
target_include_directories(zephyr_interface INTERFACE "${CMAKE_CURRENT_LIST_DIR}/include" "${STUB_BOARD}")
add_executable(app "${CMAKE_CURRENT_LIST_DIR}/platform.c" "${STUB_BOARD}/startup.c" "${STUB_BOARD}/semihosting.c")
target_compile_options(app PRIVATE -std=c11 -Wall -Wextra -Werror)
target_link_options(app PRIVATE -nostartfiles -Wl,--gc-sections -Wl,-z,noexecstack -T "${STUB_BOARD}/mps2-an386.ld")

function(zephyr_include_directories)
  target_include_directories(zephyr_interface INTERFACE ${ARGV})
endfunction()

function(zephyr_library_import name path)
  add_library(${name} STATIC IMPORTED GLOBAL)
  set_target_properties(${name} PROPERTIES IMPORTED_LOCATION "${path}")
  target_link_libraries(app PRIVATE ${name})
endfunction()

macro(zephyr_library_named name)
  set(ZEPHYR_CURRENT_LIBRARY ${name})
  add_library(${name} STATIC "")
  target_link_libraries(${name} PRIVATE zephyr_interface)
  target_link_libraries(app PRIVATE ${name})
endmacro()

function(zephyr_library_sources)
  target_sources(${ZEPHYR_CURRENT_LIBRARY} PRIVATE ${ARGV})
endfunction()

foreach(module ${ZEPHYR_EXTRA_MODULES})
  file(STRINGS "${module}/zephyr/module.yml" folder REGEX "^  cmake: ")
  string(REPLACE "  cmake: " "" folder "${folder}")
  add_subdirectory("${module}/${folder}" modules)
endforeach()
target_link_libraries(app PRIVATE zephyr_interface m)

# One call per folder of weft/. Every source is found by its name, so that adding a file touches no list:
#   x.cpp        part of the library weft_<folder>
#   x_test.cpp   part of the test program weft_<folder>_test
#   x_bench.cpp  part of the benchmark program weft_<folder>_bench
#   x_fuzz.cpp   a libFuzzer target of its own (preset fuzz)
# Sources below ISA_FOLDER are compiled once per instruction set, each into a namespace of that name
# (weft/kernels/cpu/simd.h); weft/device/isa.h chooses at run time. With UNITY five files are compiled
# at a time, where most include a header that is long to read: CLI11, GoogleTest, JSON.
set(WEFT_ISA_FLAGS_avx2 -march=x86-64-v3)
set(WEFT_ISA_FLAGS_avx512 -march=x86-64-v4)
set(WEFT_ISA_FLAGS_avx512_bf16 -march=x86-64-v4 -mavx512bf16 -mamx-tile -mamx-bf16)

find_package(GTest REQUIRED)
find_package(rapidcheck REQUIRED)
find_package(benchmark QUIET)

function(weft_folder name)
  cmake_parse_arguments(ARG "UNITY" "ISA_FOLDER" "LINK" ${ARGN})
  set(CMAKE_UNITY_BUILD ${ARG_UNITY})
  set(CMAKE_UNITY_BUILD_BATCH_SIZE 5)
  set(dir ${CMAKE_SOURCE_DIR}/weft/${name})
  file(GLOB_RECURSE sources CONFIGURE_DEPENDS ${dir}/*.cpp)
  set(tests ${sources})
  set(benches ${sources})
  set(fuzzers ${sources})
  list(FILTER tests INCLUDE REGEX "_test\\.cpp$")
  list(FILTER benches INCLUDE REGEX "_bench\\.cpp$")
  list(FILTER fuzzers INCLUDE REGEX "_fuzz\\.cpp$")
  list(FILTER sources EXCLUDE REGEX "_(test|bench|fuzz)\\.cpp$")
  set(objects "")
  set(per_isa "")
  if(ARG_ISA_FOLDER)
    set(per_isa ${sources})
    list(FILTER per_isa INCLUDE REGEX "/${ARG_ISA_FOLDER}/")
    list(FILTER sources EXCLUDE REGEX "/${ARG_ISA_FOLDER}/")
  endif()
  if(per_isa)
    foreach(isa avx2 avx512 avx512_bf16)
      add_library(weft_${name}_${isa} OBJECT ${per_isa})
      target_compile_options(weft_${name}_${isa} PRIVATE ${WEFT_ISA_FLAGS_${isa}})
      target_compile_definitions(weft_${name}_${isa} PRIVATE WEFT_ISA=${isa} WEFT_ISA_${isa}=1)
      if(WEFT_FUZZ)  # linked, but never run there: quick to compile
        target_compile_options(weft_${name}_${isa} PRIVATE -O0 -g0 -fno-sanitize=all)
      endif()
      list(APPEND objects $<TARGET_OBJECTS:weft_${name}_${isa}>)
    endforeach()
  endif()
  if(sources OR objects)
    add_library(weft_${name} STATIC ${sources} ${objects})
    target_link_libraries(weft_${name} PUBLIC ${ARG_LINK})
  else()
    add_library(weft_${name} INTERFACE)
    target_link_libraries(weft_${name} INTERFACE ${ARG_LINK})
  endif()
  if(tests AND NOT WEFT_FUZZ)
    add_executable(weft_${name}_test ${tests})
    target_link_libraries(weft_${name}_test PRIVATE weft_${name} rapidcheck GTest::gtest_main)
    target_compile_options(weft_${name}_test PRIVATE $<$<CONFIG:Release>:-O1>)  # quick to compile
    add_test(NAME ${name} COMMAND weft_${name}_test WORKING_DIRECTORY ${CMAKE_SOURCE_DIR})
  endif()
  if(benches AND benchmark_FOUND AND NOT WEFT_FUZZ)
    add_executable(weft_${name}_bench ${benches})
    target_link_libraries(weft_${name}_bench PRIVATE weft_${name} benchmark::benchmark_main)
  endif()
  if(WEFT_FUZZ)
    foreach(source ${fuzzers})
      get_filename_component(fuzzer ${source} NAME_WE)
      add_executable(${fuzzer} ${source})
      target_link_libraries(${fuzzer} PRIVATE weft_${name} -fsanitize=fuzzer)
    endforeach()
  endif()
endfunction()

# End-to-end benchmarks with their peers: bench/<name>/main.cpp -> bench_<name>, a table on stdout.
function(weft_benches)
  file(GLOB mains CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/bench/*/main.cpp)
  foreach(main ${mains})
    get_filename_component(dir ${main} DIRECTORY)
    get_filename_component(name ${dir} NAME)
    add_executable(bench_${name} ${main})
    target_link_libraries(bench_${name} PRIVATE weft_kernels weft_text ${CMAKE_DL_LIBS})
  endforeach()
endfunction()

# Examples are compiled and run by the tests: examples/<name>/main.cpp. Device code beside it is
# embedded.
function(weft_examples)
  file(GLOB mains CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/examples/*/main.cpp)
  foreach(main ${mains})
    get_filename_component(dir ${main} DIRECTORY)
    get_filename_component(name ${dir} NAME)
    add_executable(example_${name} ${main})
    target_link_libraries(example_${name} PRIVATE weft_train weft_engine)
    add_test(NAME example_${name} COMMAND example_${name} --quick
             WORKING_DIRECTORY ${CMAKE_BINARY_DIR})
    file(GLOB texts CONFIGURE_DEPENDS RELATIVE ${CMAKE_SOURCE_DIR}
         ${dir}/*.cu ${dir}/*.cuh ${dir}/*_tiles.h)
    if(texts)
      weft_texts(${name} ${texts})
    endif()
  endforeach()
endfunction()

# generated/weft_version.h: the version and the commit it was built from, looked up again after every
# commit and checkout.
function(weft_git_hash)
  execute_process(COMMAND git -C ${CMAKE_SOURCE_DIR} rev-parse --path-format=absolute --git-path logs/HEAD
                  OUTPUT_VARIABLE log OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
  if(EXISTS "${log}")
    set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${log})
  endif()
  execute_process(COMMAND git -C ${CMAKE_SOURCE_DIR} rev-parse --short=12 HEAD
                  OUTPUT_VARIABLE hash OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
  if(NOT hash)
    set(hash unknown)
  endif()
  file(CONFIGURE OUTPUT ${CMAKE_BINARY_DIR}/generated/weft_version.h CONTENT
"#pragma once\n#define WEFT_VERSION \"${PROJECT_VERSION}\"\n#define WEFT_COMMIT \"${hash}\"\n")
endfunction()

# generated/<name>_texts.h: device code, and the headers it shares with the host, as text for NVRTC:
# the array <name>_texts of KernelText (weft/kernels/cuda/texts.h). Files relative to the root.
function(weft_texts name)
  set(body "")
  foreach(file ${ARGN})
    set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/${file})
    file(READ ${CMAKE_SOURCE_DIR}/${file} text)
    string(APPEND body "{\"${file}\", R\"weft(${text})weft\"},\n")
  endforeach()
  file(CONFIGURE OUTPUT ${CMAKE_BINARY_DIR}/generated/${name}_texts.h @ONLY CONTENT
"#pragma once\n#include \"weft/kernels/cuda/texts.h\"\n\
inline constexpr weft::kernels::cuda::KernelText @name@_texts[] = {\n@body@};\n")
endfunction()

function(weft_kernel_texts)
  file(GLOB files CONFIGURE_DEPENDS RELATIVE ${CMAKE_SOURCE_DIR}
       ${CMAKE_SOURCE_DIR}/weft/kernels/cuda/device/* ${CMAKE_SOURCE_DIR}/weft/kernels/cuda/layout.h
       ${CMAKE_SOURCE_DIR}/weft/kernels/cuda/*_tiles.h)
  weft_texts(weft_kernel ${files})
endfunction()

# The kernels that ship, compiled when Weft is built, go into these programs. Without NVRTC, and under
# sanitizers (NVRTC leaks), there are none in them.
function(weft_embed_kernels)
  if(WEFT_SANITIZE)
    return()
  endif()
  add_executable(embed_kernels tools/embed_kernels.cpp)
  target_link_libraries(embed_kernels PRIVATE weft_kernels)
  set(generated ${CMAKE_BINARY_DIR}/generated)
  add_custom_command(OUTPUT ${generated}/weft_kernels.bin
    COMMAND embed_kernels ${generated}/weft_kernels.bin ${generated}/weft_kernels.txt ${generated}/kernels
    DEPENDS embed_kernels COMMENT "Compiling GPU kernels" VERBATIM)
  file(CONFIGURE OUTPUT ${generated}/weft_kernels.cpp CONTENT
"asm(\".section .rodata\\n.globl weft_embedded_begin, weft_embedded_end\\n\"
    \"weft_embedded_begin:\\n.incbin \\\"${generated}/weft_kernels.bin\\\"\\nweft_embedded_end:\\n.text\\n\");
")
  set_source_files_properties(${generated}/weft_kernels.cpp PROPERTIES
                              OBJECT_DEPENDS ${generated}/weft_kernels.bin)
  add_library(weft_embedded OBJECT ${generated}/weft_kernels.cpp)
  foreach(program ${ARGN})
    target_sources(${program} PRIVATE $<TARGET_OBJECTS:weft_embedded>)
  endforeach()
endfunction()

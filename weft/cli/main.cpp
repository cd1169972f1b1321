#include "weft/cli/main.h"

#include <CLI/CLI.hpp>
#include <cstdio>

#include "weft_version.h"

namespace weft::cli {

int main(int argc, char** argv) {
  CLI::App app("Weft: a language-model system in one binary", "weft");
  app.set_version_flag("--version", "weft " WEFT_VERSION " (" WEFT_COMMIT ")");
  CLI11_PARSE(app, argc, argv);
  return 0;
}

}  // namespace weft::cli

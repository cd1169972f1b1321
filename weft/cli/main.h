// The command line's entry: parses, runs one command, turns errors into one sentence and an exit
// code.
#pragma once

namespace weft::cli {

// Returns 0, 1 (data, resource or internal error) or 2 (usage).
int main(int argc, char** argv);

}  // namespace weft::cli

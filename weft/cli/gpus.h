// What `weft info --devices` says about GPUs.
#pragma once
#include "weft/base/json.h"

namespace weft::cli {

// One object a GPU with its measured rates; or why there is none, as text.
Json describe_gpus();

}  // namespace weft::cli

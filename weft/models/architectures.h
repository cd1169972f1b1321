// Every architecture's definition, for the table.
#pragma once
#include "weft/models/model.h"

namespace weft::models {

extern const Architecture gpt2, llama;

}  // namespace weft::models

// The name of a JSON value, for headers; json.h has the rest.
#pragma once
#include <nlohmann/json_fwd.hpp>

namespace weft {

// Keeps the order of an object's keys.
using Json = nlohmann::ordered_json;

}  // namespace weft

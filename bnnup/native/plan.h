// Where the values of a network lie for one picture size, and in which order rows are
// computed.
//
// Operations that follow each other are taken in sweeps. A sweep goes through the picture
// once from top to bottom in bands, and every operation follows the first one by as many
// rows as those between look ahead, so that the rows in flight stay in the cache instead
// of passing through memory once per operation.
#pragma once

#include <vector>

#include "network.h"

namespace bnnup {

constexpr int BAND = 8;  // rows, at least

// Operations in order, each doing rows `band` at a time. In band i, an operation does rows
// i * band - lag .. (i + 1) * band - lag of the input's height, as far as there are such.
// All that these rows depend on is made, and all that they overwrite has been read, by
// operations before it in bands 0 .. i, and by nothing else.
struct Sweep {
    std::vector<int> operations;
    int band = 0;
    int bands = 0;
};

struct Plan {
    int height = 0, width = 0;
    int threads = 1;  // no more than have something to do
    std::vector<Value> values;  // pointers are offsets into the workspace, until placed
    std::vector<size_t> float_offset, sign_offset;  // bytes
    std::vector<int> lags;  // by operation, in rows of the input's height
    std::vector<Sweep> sweeps;
    size_t scratch = 0;  // bytes per thread
    size_t bytes = 0;    // of the workspace: values, then scratch of every thread
};

// std::length_error for a size that cannot be counted in memory.
Plan make_plan(const Network& network, int height, int width, int threads);

}  // namespace bnnup

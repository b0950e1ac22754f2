// Where the values of a network lie for one picture size, and in which order rows are
// computed.
//
// Operations that follow each other are taken in sweeps. A sweep goes through the picture
// once from top to bottom in bands, and in each from left to right in blocks. Every
// operation follows the first one by as many rows and columns as those between look ahead,
// so that the pixels in flight stay in the cache instead of passing through memory once per
// operation. A value that no later sweep reads takes memory for the rows in flight only.
#pragma once

#include <algorithm>
#include <vector>

#include "network.h"

namespace bnnup {

constexpr int BAND = 8;  // rows, at least

struct Range {
    int begin, end;
};

// Operations in order, each doing `height` rows and `width` columns at a time, of the
// input's. In block j of band i, an operation does rows i * height - lag .. (i + 1) * height
// - lag, and columns likewise, as far as there are such. All that these pixels depend on is
// made, and all that they overwrite has been read, by operations before it in blocks 0 .. j
// of bands 0 .. i, and by nothing else.
struct Sweep {
    std::vector<int> operations;
    int height = 0, bands = 0;
    int width = 0, blocks = 0;

    Range rows(int band, int lag, int end) const { return part(band, height, lag, end); }
    Range columns(int block, int lag, int end) const { return part(block, width, lag, end); }

private:
    static Range part(int number, int size, int lag, int end) {
        const int first = number * size - lag;
        return {std::max(first, 0), std::min(first + size, end)};
    }
};

struct Plan {
    int height = 0, width = 0;
    int threads = 1;            // no more than have something to do
    int bands = 1;              // that may be in work at a time
    std::vector<Value> values;  // pointers are offsets into the workspace, until placed
    std::vector<size_t> float_offset, sign_offset;  // bytes
    std::vector<int> lags;  // by operation, in rows and columns of the input
    std::vector<Sweep> sweeps;
    size_t scratch = 0;  // bytes per thread
    size_t bytes = 0;    // of the workspace: values, then scratch of every thread
};

// std::length_error for a size that cannot be counted in memory.
Plan make_plan(const Network& network, int height, int width, int threads);

}  // namespace bnnup

// Where the values of a network lie for one picture size, and in which order rows are
// computed.
//
// Operations that follow each other are taken in groups. Within a group the picture is
// swept once from top to bottom in bands, and every operation follows the one it reads
// by as many rows as it looks ahead, so that the rows in flight stay in the cache
// instead of passing through memory once per operation.
#pragma once

#include <vector>

#include "network.h"

namespace bnnup {

constexpr int BAND = 8;  // rows per thread and step

// Rows begin .. end of the input's height, to be computed by one operation, split over
// all threads; the next step begins when all are done.
struct Step {
    int operation;
    int begin, end;
};

struct Plan {
    int height = 0, width = 0;
    int threads = 1;  // no more than have something to do
    std::vector<Value> values;  // pointers are offsets into the workspace, until placed
    std::vector<size_t> float_offset, sign_offset;  // bytes
    std::vector<Step> steps;
    size_t scratch = 0;  // bytes per thread
    size_t bytes = 0;    // of the workspace: values, then scratch of every thread
};

// std::length_error for a size that cannot be counted in memory.
Plan make_plan(const Network& network, int height, int width, int threads);

}  // namespace bnnup

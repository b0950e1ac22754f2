// One operation, some rows of a block at a time.
#pragma once

#include "plan.h"

namespace bnnup {

// A picture on its way through a network.
struct Passage {
    const Network& network;
    std::vector<Value> values;  // placed in memory
    const float* luma;          // (height, width)
};

// Computes what `operation` makes of some rows and columns of the input: `factor` rows of its
// own for each. scratch: Plan::scratch bytes, on a cache line.
void compute_rows(const Passage& passage, int operation, Range rows, Range columns, char* scratch);

}  // namespace bnnup

// One operation, a row of a block at a time.
#pragma once

#include "plan.h"

namespace bnnup {

// A picture on its way through a network.
struct Passage {
    const Network& network;
    std::vector<Value> values;  // placed in memory
    const float* luma;          // (height, width)
};

// Computes what `operation` makes of some columns of row y of the input: `factor` rows of its
// own. scratch: Plan::scratch bytes, on a cache line.
void compute_row(const Passage& passage, int operation, int y, Range columns, char* scratch);

}  // namespace bnnup

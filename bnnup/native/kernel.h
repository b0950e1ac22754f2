// What every instruction set provides, and the one table that lists them.
//
// All kernels give the same bits: integer sums are exact, and float steps are the
// same operations in the same order, with fused multiply-adds spelled out.
#pragma once

#include <string>
#include <vector>

#include "layout.h"
#include "memory.h"

namespace bnnup {

enum class Skip { none, identity, repeat, average, slice };
enum class Activation { none, relu, prelu, rprelu };

// Full-precision convolution; output channels in groups of LANES, padded with zeros.
struct FullWeights {
    int in = 0, out = 0, kernel = 1;
    Aligned<float> weight;  // (groups, kernel rows, in, kernel columns, LANES)
    Aligned<float> bias;    // (groups, LANES)
};

struct ActivationWeights {
    Activation kind = Activation::none;
    int channels = 0;
    Aligned<float> slope, offset;  // (groups, LANES)
};

// A binary convolution reads, for every pixel, `terms` words: kernel rows, kernel
// columns, words of channels. Their order in memory is the kernel's own business.
struct BinaryWeights {
    int in = 0, out = 0, kernel = 1;
    Skip skip = Skip::none;
    ActivationWeights activation;
    Aligned<uint64_t> weight;     // (groups, ...), arranged by Kernel::arrange
    Aligned<float> scale, shift;  // (groups, LANES)

    int terms() const { return kernel * kernel * words_of(in); }
};

// The pixels that one row of a binary convolution reads and writes.
struct BinaryRow {
    const uint64_t* signs[MAX_KERNEL];  // kernel rows at column 0, each (words, plane)
    size_t plane = 0;
    const float* skip = nullptr;  // (width, in), unless the skip is none
    int width = 0;
    float* floats = nullptr;     // (width, out), may be null, may be skip
    uint64_t* packed = nullptr;  // (words of out, plane), may be null
};

// Word `term` of a pixel's neighbourhood, for the pixels from x on.
inline const uint64_t* term_words(const BinaryWeights& op, const BinaryRow& row, int term, int x) {
    const int words = words_of(op.in);
    const int tap = term / words;
    return row.signs[tap / op.kernel] + size_t(term % words) * row.plane + x + tap % op.kernel
        - op.kernel / 2;
}

struct Kernel {
    const char* name = nullptr;
    bool (*supported)() = nullptr;

    // Takes xor, popcount and sum of `products` sign products, `rounds` times, from
    // registers: what nothing that counts product by product can exceed.
    int products = 0;
    uint64_t (*spin)(long rounds, uint64_t seed) = nullptr;

    // (out, terms) sign words to the order that binary_convolution reads.
    Aligned<uint64_t> (*arrange)(const uint64_t* words, int out, int terms) = nullptr;
    // Bytes of scratch that binary_convolution wants.
    size_t (*binary_scratch)(int terms) = nullptr;
    void (*binary_convolution)(const BinaryWeights&, const BinaryRow&, uint64_t* scratch) = nullptr;

    // rows: kernel rows at column 0. Rows are (width, channels) throughout.
    void (*convolution)(const FullWeights&, const float* const* rows, int width, float* out) = nullptr;
    void (*pack)(const float* row, int channels, int width, uint64_t* packed, size_t plane) = nullptr;
    void (*activate)(const ActivationWeights&, const float* row, int width, float* out) = nullptr;
    void (*add)(const float* a, const float* b, size_t count, float* out) = nullptr;
    // rows: `window` rows at column 0; scratch: (window - 1 + width, channels).
    void (*box_mean)(
        const float* const* rows, int window, int channels, int width, float* scratch, float* out) = nullptr;
    // out = x * sigmoid(gate)
    void (*weigh)(const float* x, const float* gate, size_t count, float* out) = nullptr;
    // One row of a bicubic enlargement: rows are the BICUBIC_TAPS around it, `across`
    // (factor, taps) and `down` (taps) the weights; scratch: (taps - 1 + 2 * width, channels).
    void (*enlarge)(
        const float* const* rows, const float* down, const float* across, int factor, int channels,
        int width, float* scratch, float* out) = nullptr;
};

extern const Kernel portable;
extern const Kernel avx2;
extern const Kernel avx512;
extern const Kernel neon;

// Names of the kernels that this machine runs, the fastest first.
std::vector<std::string> kernels();

// The kernel called `name`, the fastest for an empty name; std::invalid_argument lists
// the valid names.
const Kernel& find_kernel(const std::string& name);

}  // namespace bnnup

// What every instruction set provides, and the one table that lists them.
//
// All kernels give the same bits: integer sums are exact, and float steps are the
// same operations in the same order, with fused multiply-adds spelled out.
#pragma once

#include <algorithm>
#include <string>
#include <vector>

#include "layout.h"
#include "memory.h"

namespace bnnup {

enum class Skip { none, identity, average };

// Full-precision convolution; output channels in groups of LANES, padded with zeros.
struct FullWeights {
    int in = 0, out = 0, kernel = 1;
    Aligned<float> weight;  // (groups, kernel rows, in, kernel columns, LANES)
    Aligned<float> bias;    // (groups, LANES)
};

// Convolution of integers that inputs are rounded to, as many of them to 1 as `levels` says
// for each input channel. No sum exceeds 32 bits.
//
// Where the kernel is 3, two results of a row are made of four products in place of six: those
// of d0 .. d3, of which the first is read for both, with kernel columns g0 .. g2 are
//
//     (d0 - d2) 2 g0    (d1 + d2) (g0 + g1 + g2)    (d2 - d1) (g0 - g1 + g2)    (d3 - d1) 2 g2
//
// and twice the results are first + second + third and second - third + fourth. The same
// with rows: squares of 2 x 2 results are made of 16 products in place of 36 (Winograd's
// F(2x2, 3x3): Lavin and Gray, CVPR 2016). In integers that is exact.
struct QuantizedWeights {
    int in = 0, out = 0, kernel = 1;
    // (groups, kernel rows, pairs, kernel columns, LANES, 2); or the second factors above:
    // (groups, 4 of rows, 4 of columns, pairs, LANES, 2)
    Aligned<int16_t> weight;
    Aligned<float> levels;       // (groups of in, LANES)
    Aligned<float> scale, bias;  // (groups, LANES); the scale of what is summed

    int pairs() const { return divide_up(in, 2); }  // of input channels; an odd last one has a 0
    bool by_squares() const { return kernel == 3; }
    int factors() const { return by_squares() ? 16 : kernel * kernel; }  // of a pair, in `weight`
    int rows_made() const { return by_squares() ? 2 : 1; }               // at a time
    int rows_read() const { return kernel + rows_made() - 1; }
};

constexpr int MAX_SQUARES = 16;  // that a kernel makes at a time

// Integers of a row for `width` results: (columns, pairs, 2), or the first factors of columns
// above, (squares, 4, pairs, 2).
inline size_t quantized_count(const QuantizedWeights& op, int width) {
    const size_t columns =
        op.by_squares() ? 4 * size_t(divide_up(width, 2)) : size_t(width) + op.kernel - 1;
    return columns * 2 * op.pairs();
}

// Integers of scratch: first factors, (4 of rows, squares, 4 of columns, pairs, 2).
inline size_t quantized_scratch(const QuantizedWeights& op) {
    return op.by_squares() ? size_t(4 * MAX_SQUARES * 4 * 2) * op.pairs() : 0;
}

// The signs that a binary convolution reads for a pixel are one string of bits: kernel
// rows, kernel columns, channels, without gaps, so that few channels fill few words. How
// weights lie in memory is the kernel's own business.
struct BinaryWeights {
    int in = 0, out = 0, kernel = 1;
    Skip skip = Skip::none;
    Aligned<Word> weight;          // (groups, ...), arranged by Kernel::arrange
    Aligned<float> scale, shift;   // (groups, LANES)
    Aligned<float> slope, offset;  // the same, of the activation; empty if there is none

    bool bends() const { return !slope.empty(); }

    int bits() const { return kernel * kernel * in; }
    int terms() const { return words_of(bits()); }  // words of the string
};

// The pixels that one row of a binary convolution reads and writes.
struct BinaryRow {
    const char* signs[MAX_KERNEL];  // kernel rows at column 0, each of planes
    size_t plane = 0;               // bytes; what is written has planes like what is read
    const float* skip = nullptr;    // (width, in), unless the skip is none
    int width = 0;
    float* floats = nullptr;  // (width, out), may be null, may be skip
    char* packed = nullptr;   // signs of the same, may be null
};

// Word `term` of the strings of n pixels from x on. Every piece of a string either has
// zeros behind it or fills the word, so that none needs a mask.
[[gnu::always_inline]] inline void read_term(
    const BinaryWeights& op, const BinaryRow& row, int term, int x, int n, Word* out) {
    std::fill_n(out, n, 0);
    int bit = WORD * term;
    for (int filled = 0; filled < WORD && bit < op.bits();) {
        const int tap = bit / op.in, channel = bit % op.in, shift = channel % WORD;
        const char* plane = row.signs[tap / op.kernel] + size_t(channel / WORD) * row.plane;
        const Word* from =
            reinterpret_cast<const Word*>(plane) + x + tap % op.kernel - op.kernel / 2;
        for (int i = 0; i < n; ++i) out[i] |= from[i] >> shift << filled;
        const int step = std::min({WORD - shift, op.in - channel, WORD - filled});
        bit += step;
        filled += step;
    }
}

// The same, where it lies, if no piece is less than a word: op.in is a multiple of WORD.
inline const Word* term_in_place(const BinaryWeights& op, const BinaryRow& row, int term, int x) {
    const int planes = op.in / WORD, tap = term / planes;
    const char* plane = row.signs[tap / op.kernel] + size_t(term % planes) * row.plane;
    return reinterpret_cast<const Word*>(plane) + x + tap % op.kernel - op.kernel / 2;
}

// What arrange made of a group's weights.
inline const Word* group_weights(const BinaryWeights& op, int group) {
    return &op.weight[op.weight.size() / groups_of(op.out) * group];
}

// Means over a window around each pixel of a row, and what is too little to lead chroma.
struct LineMoments {
    const float *luma, *luma_squares, *chroma, *chroma_squares, *products;
};
struct LineFloors {
    float luma = 0, chroma = 0;
};

struct Kernel {
    const char* name = nullptr;
    bool (*supported)() = nullptr;

    // Takes xor, popcount and sum of `products` sign products, `rounds` times, from
    // registers: what nothing that counts product by product can exceed. For AMX, products
    // of bytes and their sum.
    int products = 0;
    uint64_t (*spin)(long rounds, uint64_t seed) = nullptr;

    // How signs lie in memory. Up to LANES pixels and a cache line are read past a row.
    SignLayout (*sign_layout)(int channels) = nullptr;
    // (out, terms) words, the strings of op's weights, to the order that
    // binary_convolution reads.
    Aligned<Word> (*arrange)(const BinaryWeights& op, const Word* words) = nullptr;
    // Bytes of scratch that binary_convolution wants.
    size_t (*binary_scratch)(const BinaryWeights& op) = nullptr;
    void (*binary_convolution)(const BinaryWeights&, const BinaryRow&, Word* scratch) = nullptr;

    // rows: kernel rows at column 0. Rows are (width, channels) throughout.
    void (*convolution)(const FullWeights&, const float* const* rows, int width, float* out) =
        nullptr;
    // What `width` results read of a row, whose column 0 is given.
    void (*quantize)(const QuantizedWeights&, const float* row, int width, int16_t* out) = nullptr;
    // `count` rows of results, as many as are made at a time or less, of such rows.
    void (*quantized_convolution)(
        const QuantizedWeights&, const int16_t* const* rows, int width, int count, int16_t* scratch,
        float* const* out) = nullptr;
    void (*pack)(const float* row, int channels, int width, char* packed, size_t plane) = nullptr;
    void (*rectify)(float* numbers, size_t count) = nullptr;  // 0 for all that are below
    void (*add)(const float* a, const float* b, size_t count, float* out) = nullptr;
    // rows: `window` rows at column 0; scratch: (window - 1 + width, channels).
    void (*box_mean)(
        const float* const* rows, int window, int channels, int width, float* scratch,
        float* out) = nullptr;
    // out = x * sigmoid(gate)
    void (*weigh)(const float* x, const float* gate, size_t count, float* out) = nullptr;
    // One row of a bicubic enlargement: rows are the BICUBIC_TAPS around it at column 0, with
    // BORDER pixels at either end, `across` (factor, taps) and `down` (taps) the weights;
    // scratch: (taps - 1 + 2 * width, channels).
    void (*enlarge)(
        const float* const* rows, const float* down, const float* across, int factor, int channels,
        int width, float* scratch, float* out) = nullptr;
    void (*multiply)(const float* a, const float* b, size_t count, float* out) = nullptr;
    // rows: `window` rows at column 0; weights (window) across and down alike; scratch:
    // (window - 1 + width).
    void (*window_mean)(
        const float* const* rows, const float* weights, int window, int width, float* scratch,
        float* out) = nullptr;
    // Slopes of chroma's lines over luma; chroma moves towards them where luma is not null.
    void (*lay_lines)(
        const LineMoments&, const LineFloors&, int width, float* slopes, const float* luma,
        float* chroma) = nullptr;
    // chroma += slopes * (luma - base)
    void (*follow)(
        const float* slopes, const float* luma, const float* base, size_t count,
        float* chroma) = nullptr;
    // `count` pixels in three planes to R'G'B', the first three of `samples` samples a pixel;
    // factors: (4).
    void (*merge8)(
        const float* y, const float* cb, const float* cr, size_t count, const float* factors,
        int samples, uint8_t* out) = nullptr;
    void (*merge16)(
        const float* y, const float* cb, const float* cr, size_t count, const float* factors,
        int samples, uint16_t* out) = nullptr;
    void (*merge_floats)(
        const float* y, const float* cb, const float* cr, size_t count, const float* factors,
        int samples, float* out) = nullptr;
};

// All that there are, the fastest first; each answers for CPU and operating system together.
#define BNNUP_KERNELS(each) each(amx) each(avx512) each(avx2) each(neon) each(wasm) each(portable)
#define BNNUP_DECLARE(kernel) extern const Kernel kernel;
BNNUP_KERNELS(BNNUP_DECLARE)
#undef BNNUP_DECLARE

// The table of a kernel that has included rows.inc, with the two rows that it may have written
// itself; and that of one which is not compiled for this machine.
// clang-format off
#define KERNEL_TABLE(name, binary_convolution, convolution)                                \
    {name, supported, PRODUCTS, spin, sign_layout, arrange, binary_scratch,                \
     binary_convolution, convolution, quantize, quantized_convolution, pack, rectify, add, \
     box_mean, weigh, enlarge, multiply, window_mean, lay_lines, follow,                   \
     merge<uint8_t>, merge<uint16_t>, merge<float>}
// clang-format on

inline Kernel absent(const char* name) {
    Kernel kernel;
    kernel.name = name;
    kernel.supported = [] { return false; };
    return kernel;
}

// Names of the kernels that this machine runs, the fastest first.
std::vector<std::string> kernels();

// The kernel called `name`, the fastest for an empty name; std::invalid_argument lists
// the valid names.
const Kernel& find_kernel(const std::string& name);

}  // namespace bnnup

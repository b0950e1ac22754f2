// How pictures and weights lie in memory.
//
// Signs. Bit 1 means -1, bit 0 means +1, and the sign of 0 is +1. Bits run along
// channels, lowest bit first, 32 to a word; the bits past the last channel are 0.
// The dot product of K signs is then K - 2 * popcount(a xor w). Padding replicates
// the border, because a sign has no zero. A kernel that multiplies bytes keeps them as
// such, +1 and -1.
//
// A value is one picture of a program: float rows (width, channels), sign rows
// (planes, width), or both, each row with BORDER copied pixels at either end so that
// a kernel may read past the picture without asking where it is.
#pragma once

#include <cstddef>
#include <cstdint>

namespace bnnup {

using Word = uint32_t;

constexpr int WORD = 32;   // bits
constexpr int LANES = 16;  // channels that a kernel works on together
constexpr int BORDER = 2;  // half of the largest convolution kernel
constexpr int BLOCK = 64;  // pixels of a row that a binary convolution does at a time
constexpr int MAX_KERNEL = 2 * BORDER + 1;
constexpr int BICUBIC_TAPS = 5;
// Of integers that are multiplied: inputs, weights, and the weights of an output channel together.
constexpr int LARGEST_INPUT = (1 << 13) - 1;
constexpr int LARGEST_WEIGHT = INT16_MAX / 9;
constexpr int LARGEST_SUM = 1 << 16;

constexpr int divide_up(int a, int b) { return (a + b - 1) / b; }
constexpr int words_of(int bits) { return divide_up(bits, WORD); }
constexpr int groups_of(int channels) { return divide_up(channels, LANES); }

// Pieces of a pixel's signs, and bytes a piece; a row is (planes, width) pieces.
struct SignLayout {
    int planes = 0;
    int bytes = 0;
};
constexpr SignLayout as_words(int channels) { return {words_of(channels), sizeof(Word)}; }
constexpr SignLayout as_bytes(int channels) { return {1, channels}; }

// Size and place of one value. What is soon read for the last time takes turns in fewer rows
// of memory than it has.
struct Value {
    int channels = 0;
    int height = 0;
    int width = 0;
    int float_rows = 0, sign_rows = 0;  // in memory
    int border = BORDER;                // of the float rows; the result has none
    SignLayout layout;
    float* floats = nullptr;  // (float_rows, border + width + border, channels)
    char* signs = nullptr;    // (sign_rows, planes, BORDER + width + BORDER, bytes)

    size_t float_stride() const { return size_t(width + 2 * border) * channels; }
    size_t sign_plane() const { return (size_t(width) + 2 * BORDER) * layout.bytes; }
    size_t sign_stride() const { return sign_plane() * layout.planes; }

    // Column 0 of a row; rows outside the picture are those at its border.
    float* float_row(int y) const {
        return floats + clamped(y) % float_rows * float_stride() + size_t(border) * channels;
    }
    char* sign_row(int y) const {
        return signs + clamped(y) % sign_rows * sign_stride() + size_t(BORDER) * layout.bytes;
    }

private:
    size_t clamped(int y) const { return y < 0 ? 0 : y < height ? y : height - 1; }
};

}  // namespace bnnup

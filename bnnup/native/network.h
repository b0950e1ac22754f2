// A program, checked again on this side of the border and made ready for a kernel.
#pragma once

#include <string>
#include <vector>

#include "kernel.h"

namespace bnnup {

constexpr int MAX_OPERATIONS = 4096;
constexpr int MAX_CHANNELS = 4096;  // of one value, per input pixel
constexpr int MAX_SCALE = 8;
constexpr int MAX_WINDOW = 63;
constexpr uint64_t MAX_WEIGHTS = 1 << 30;  // bytes, arranged for a kernel

template <class T>
struct Span {
    const T* data;
    size_t size;
};
using Floats = Span<float>;
using Bytes = Span<uint8_t>;
using Shorts = Span<int16_t>;

enum class Kind {
    input,
    convolution,
    quantized_convolution,
    binary_convolution,
    add,
    concatenate,
    pixel_shuffle,
    bicubic,
    channel_attention,
};

// What an operation reads of a value: its floats, its signs or both, each with the rows
// above and below that a row of the result depends on.
struct Read {
    int value;
    bool floats, signs;
    int float_radius, sign_radius;  // rows of the value
};

// Operation i makes value i; operation 0 is the input.
struct Operation {
    Kind kind = Kind::input;
    std::vector<Read> reads;
    int channels = 1;
    int factor = 1;     // size of the value in units of the input
    int parameter = 1;  // of a shuffle or bicubic its factor, of an attention its window

    FullWeights full;  // of a convolution; of an attention the way down
    FullWeights up;
    QuantizedWeights quantized;
    BinaryWeights binary;
    Aligned<float> phases;  // (factor, BICUBIC_TAPS)

    bool needs_floats = false;  // some later operation, or the caller, reads them
    bool needs_signs = false;
    bool needed() const { return needs_floats || needs_signs; }
};

// Built one operation at a time; every method checks what it is given against all that
// came before, throws std::invalid_argument, and returns the new value's number.
class Network {
public:
    Network(int scale, const std::string& kernel);

    int convolution(int input, int channels, int kernel, Floats weight, Floats bias);
    int quantized_convolution(
        int input, int channels, int kernel, Shorts weight, Floats levels, Floats scale,
        Floats bias);
    int binary_convolution(
        int input, int channels, int kernel, const std::string& skip, const std::string& activation,
        Bytes weight, Floats scale, Floats shift, Floats slope, Floats offset);
    int add(int left, int right);
    int concatenate(const std::vector<int>& parts);
    int pixel_shuffle(int input, int factor);
    int bicubic(int input, int factor, Floats phases);
    int channel_attention(
        int input, int squeeze, int window, Floats down, Floats down_bias, Floats up,
        Floats up_bias);

    // Checks the result and settles what has to be computed; nothing can follow.
    void finish();

    int scale() const { return scale_; }
    bool finished() const { return finished_; }
    const Kernel& kernel() const { return *kernel_; }
    const std::vector<Operation>& operations() const { return operations_; }

private:
    const Operation& value(int number) const;
    int append(Operation operation);

    int scale_;
    const Kernel* kernel_;
    bool finished_ = false;
    uint64_t weights_ = 0;  // bytes
    std::vector<Operation> operations_;
};

}  // namespace bnnup

#include "network.h"

#include <algorithm>
#include <stdexcept>

namespace bnnup {
namespace {

void check(bool holds, const char* otherwise) {
    if (!holds) throw std::invalid_argument(otherwise);
}

void check_size(size_t size, size_t expected, const char* otherwise) {
    check(size == expected, otherwise);
}

void check_kernel(int kernel) {
    check(kernel == 1 || kernel == 3 || kernel == 5, "kernel must be 1, 3 or 5");
}

Skip find_skip(const std::string& name, int in, int out) {
    if (name == "none") return Skip::none;
    if (name == "identity" && in == out) return Skip::identity;
    if (name == "average" && in % out == 0) return Skip::average;
    throw std::invalid_argument("unknown skip, or one that the channels do not fit");
}

// Numbers to whole groups of LANES; the lanes past the last are 0.
Aligned<float> pad(Floats numbers) {
    Aligned<float> padded(round_up(numbers.size, LANES));
    std::copy_n(numbers.data, numbers.size, padded.begin());
    return padded;
}

// Counts bytes of weights before they are allocated.
void take(uint64_t bytes, uint64_t& taken) {
    check(bytes <= MAX_WEIGHTS - taken, "the weights take more than a gigabyte of memory");
    taken += bytes;
}

// weight: (out, in, kernel, kernel)
FullWeights make_full(int in, int out, int kernel, Floats weight, Floats bias, uint64_t& taken) {
    const int area = kernel * kernel;
    check_size(weight.size, size_t(out) * in * area, "weight has the wrong size");
    check_size(bias.size, out, "bias has the wrong size");
    const uint64_t numbers = uint64_t(groups_of(out)) * LANES * area * in;
    take(numbers * sizeof(float), taken);
    FullWeights full{in, out, kernel, Aligned<float>(numbers), pad(bias)};
    for (int o = 0; o < out; ++o) {
        for (int i = 0; i < in; ++i) {
            for (int tap = 0; tap < area; ++tap) {
                const size_t row = (size_t(o / LANES) * kernel + tap / kernel) * in + i;
                full.weight[(row * kernel + tap % kernel) * LANES + o % LANES] =
                    weight.data[(size_t(o) * in + i) * area + tap];
            }
        }
    }
    return full;
}

// weight: (out, in, kernel, kernel)
void check_weights(const QuantizedWeights& op, Shorts weight) {
    const size_t of_channel = size_t(op.in) * op.kernel * op.kernel;
    check_size(weight.size, op.out * of_channel, "weight has the wrong size");
    for (int o = 0; o < op.out; ++o) {
        int64_t sum = 0;
        for (size_t i = 0; i < of_channel; ++i) {
            const int magnitude = std::abs(int(weight.data[o * of_channel + i]));
            check(magnitude <= LARGEST_WEIGHT, "a weight is too large");
            sum += magnitude;
        }
        check(sum <= LARGEST_SUM, "the weights of a channel are too large together");
    }
}

// Second factors, 4 of every 3 numbers, `step` apart.
void find_factors(const int16_t* numbers, int step, int16_t* out) {
    const int first = numbers[0], second = numbers[step], third = numbers[2 * step];
    out[0] = int16_t(2 * first);
    out[1] = int16_t(first + second + third);
    out[2] = int16_t(first - second + third);
    out[3] = int16_t(2 * third);
}

// kernel: (3, 3); out: (4, 4)
void find_square_factors(const int16_t* kernel, int16_t* out) {
    int16_t columns[3][4], turned[4][4];
    for (int y = 0; y < 3; ++y) find_factors(kernel + 3 * y, 1, columns[y]);
    for (int x = 0; x < 4; ++x) find_factors(&columns[0][x], 4, turned[x]);
    for (int i = 0; i < 16; ++i) out[i] = turned[i % 4][i / 4];
}

// weight: (out, in, kernel, kernel)
Aligned<int16_t> pair_weights(const QuantizedWeights& op, Shorts weight) {
    const int kernel = op.kernel, taps = kernel * kernel, count = op.factors();
    Aligned<int16_t> paired(size_t(groups_of(op.out)) * op.pairs() * count * LANES * 2);
    for (int o = 0; o < op.out; ++o) {
        for (int i = 0; i < op.in; ++i) {
            const int16_t* const numbers = weight.data + (size_t(o) * op.in + i) * taps;
            int16_t square[16];
            if (op.by_squares()) find_square_factors(numbers, square);
            const int16_t* const factors = op.by_squares() ? square : numbers;
            for (int j = 0; j < count; ++j) {
                const size_t group = o / LANES, pair = i / 2;
                const size_t row = op.by_squares()
                    ? (group * count + j) * op.pairs() + pair
                    : ((group * kernel + j / kernel) * op.pairs() + pair) * kernel + j % kernel;
                paired[(row * LANES + o % LANES) * 2 + i % 2] = factors[j];
            }
        }
    }
    return paired;
}

// The most that a kernel arranges them to: a byte for every sign, in whole cache lines.
uint64_t bytes_of(const BinaryWeights& op) {
    const uint64_t channels = uint64_t(groups_of(op.out)) * LANES;
    return channels * op.kernel * round_up(size_t(op.kernel) * op.in, CACHE_LINE);
}

size_t bytes_packed(const BinaryWeights& op) {
    return size_t(op.out) * op.kernel * op.kernel * divide_up(op.in, 8);
}

// Packed bytes (out, kernel, kernel, ceil(in / 8)) to strings of bits (out, terms).
std::vector<Word> read_strings(const BinaryWeights& op, Bytes weight) {
    const size_t bytes = divide_up(op.in, 8), taps = size_t(op.kernel) * op.kernel;
    std::vector<Word> strings(size_t(op.out) * op.terms());
    const uint8_t* from = weight.data;
    for (int channel = 0; channel < op.out; ++channel) {
        Word* const string = &strings[size_t(channel) * op.terms()];
        for (size_t tap = 0; tap < taps; ++tap, from += bytes) {
            check(
                op.in % 8 == 0 || from[bytes - 1] >> op.in % 8 == 0,
                "weight has bits past its channels");
            for (int i = 0; i < op.in; ++i) {
                const size_t bit = tap * op.in + i;
                string[bit / WORD] |= Word(from[i / 8] >> i % 8 & 1) << bit % WORD;
            }
        }
    }
    return strings;
}

Read reads_floats(int value, int radius = 0) { return {value, true, false, radius, 0}; }

Operation make(Kind kind, std::vector<Read> reads, int channels, int factor) {
    Operation operation;
    operation.kind = kind;
    operation.reads = std::move(reads);
    operation.channels = channels;
    operation.factor = factor;
    return operation;
}

}  // namespace

Network::Network(int scale, const std::string& kernel)
    : scale_(scale), kernel_(&find_kernel(kernel)), operations_(1) {
    check(scale >= 1 && scale <= MAX_SCALE, "scale is out of range");
}

const Operation& Network::value(int number) const {
    check(
        number >= 0 && size_t(number) < operations_.size(),
        "an operation reads a value that no earlier one makes");
    return operations_[number];
}

int Network::append(Operation operation) {
    check(!finished_, "the network is finished");
    check(operations_.size() <= MAX_OPERATIONS, "too many operations");
    check(
        operation.channels * operation.factor * operation.factor <= MAX_CHANNELS,
        "too many samples of each input pixel");
    operations_.push_back(std::move(operation));
    return int(operations_.size()) - 1;
}

static int check_channels(int channels) {
    check(channels >= 1 && channels <= MAX_CHANNELS, "channels are out of range");
    return channels;
}

static int check_factor(int factor) {
    check(factor >= 1 && factor <= MAX_SCALE, "factor is out of range");
    return factor;
}

int Network::convolution(int input, int channels, int kernel, Floats weight, Floats bias) {
    const Operation& x = value(input);
    check_kernel(kernel);
    Operation made = make(
        Kind::convolution, {reads_floats(input, kernel / 2)}, check_channels(channels), x.factor);
    made.full = make_full(x.channels, channels, kernel, weight, bias, weights_);
    return append(std::move(made));
}

int Network::quantized_convolution(
    int input, int channels, int kernel, Shorts weight, Floats levels, Floats scale, Floats bias) {
    const Operation& x = value(input);
    check_kernel(kernel);
    QuantizedWeights op;
    op.in = x.channels;
    op.out = check_channels(channels);
    op.kernel = kernel;
    check_weights(op, weight);
    check_size(levels.size, op.in, "levels have the wrong size");
    check_size(scale.size, op.out, "scale has the wrong size");
    check_size(bias.size, op.out, "bias has the wrong size");
    const uint64_t lanes = uint64_t(groups_of(op.out)) * LANES;
    take(lanes * op.factors() * 2 * op.pairs() * sizeof(int16_t), weights_);
    op.weight = pair_weights(op, weight);
    op.levels = pad(levels);
    op.scale = pad(scale);
    for (float& factor : op.scale) factor *= op.by_squares() ? 0.25f : 1.0f;
    op.bias = pad(bias);
    Operation made =
        make(Kind::quantized_convolution, {reads_floats(input, kernel / 2)}, channels, x.factor);
    made.quantized = std::move(op);
    return append(std::move(made));
}

int Network::binary_convolution(
    int input, int channels, int kernel, const std::string& skip, const std::string& activation,
    Bytes weight, Floats scale, Floats shift, Floats slope, Floats offset) {
    const Operation& x = value(input);
    check_kernel(kernel);
    check_channels(channels);
    BinaryWeights binary;
    binary.in = x.channels;
    binary.out = channels;
    binary.kernel = kernel;
    binary.skip = find_skip(skip, x.channels, channels);
    check(activation == "none" || activation == "rprelu", "unknown activation");
    const int bent = activation == "rprelu" ? channels : 0;
    check_size(slope.size, bent, "slope has the wrong size");
    check_size(offset.size, bent, "offset has the wrong size");
    binary.slope = pad(slope);
    binary.offset = pad(offset);
    check_size(weight.size, bytes_packed(binary), "weight has the wrong size");
    take(bytes_of(binary), weights_);
    binary.weight = kernel_->arrange(binary, read_strings(binary, weight).data());
    check_size(scale.size, channels, "scale has the wrong size");
    check_size(shift.size, channels, "shift has the wrong size");
    binary.scale = pad(scale);
    binary.shift = pad(shift);
    const Read read{input, binary.skip != Skip::none, true, 0, kernel / 2};
    Operation made = make(Kind::binary_convolution, {read}, channels, x.factor);
    made.binary = std::move(binary);
    return append(std::move(made));
}

int Network::add(int left, int right) {
    const Operation &a = value(left), &b = value(right);
    check(a.channels == b.channels && a.factor == b.factor, "the shapes of a sum differ");
    return append(make(Kind::add, {reads_floats(left), reads_floats(right)}, a.channels, a.factor));
}

int Network::concatenate(const std::vector<int>& parts) {
    check(!parts.empty() && parts.size() <= MAX_CHANNELS, "nothing to concatenate, or too much");
    const int factor = value(parts.front()).factor;
    std::vector<Read> reads;
    int channels = 0;
    for (int part : parts) {
        check(value(part).factor == factor, "sizes to be concatenated differ");
        channels = check_channels(channels + value(part).channels);
        reads.push_back(reads_floats(part));
    }
    return append(make(Kind::concatenate, std::move(reads), channels, factor));
}

int Network::pixel_shuffle(int input, int factor) {
    const Operation& x = value(input);
    check_factor(factor);
    check(x.channels % (factor * factor) == 0, "the channels cannot be shuffled");
    Operation made = make(
        Kind::pixel_shuffle, {reads_floats(input)}, x.channels / (factor * factor),
        check_factor(x.factor * factor));
    made.parameter = factor;
    return append(std::move(made));
}

int Network::bicubic(int input, int factor, Floats phases) {
    const Operation& x = value(input);
    check_factor(factor);
    check_size(phases.size, size_t(factor) * BICUBIC_TAPS, "phases have the wrong size");
    Operation made = make(
        Kind::bicubic, {reads_floats(input, BICUBIC_TAPS / 2)}, x.channels,
        check_factor(x.factor * factor));
    made.parameter = factor;
    made.phases.assign(phases.data, phases.data + phases.size);
    return append(std::move(made));
}

int Network::channel_attention(
    int input, int squeeze, int window, Floats down, Floats down_bias, Floats up, Floats up_bias) {
    const Operation& x = value(input);
    check_channels(squeeze);
    check(window % 2 == 1 && window >= 1 && window <= MAX_WINDOW, "window must be small and odd");
    Operation made =
        make(Kind::channel_attention, {reads_floats(input, window / 2)}, x.channels, x.factor);
    made.parameter = window;
    made.full = make_full(x.channels, squeeze, 1, down, down_bias, weights_);
    made.up = make_full(squeeze, x.channels, 1, up, up_bias, weights_);
    return append(std::move(made));
}

void Network::finish() {
    check(!finished_ && operations_.size() > 1, "a network is finished once, with operations");
    Operation& result = operations_.back();
    check(
        result.channels == 1 && result.factor == scale_,
        "the network does not end with one channel at its scale");
    result.needs_floats = true;
    for (size_t i = operations_.size(); i-- > 0;) {
        Operation& operation = operations_[i];
        if (!operation.needed()) continue;
        // Only a binary convolution makes signs without passing through memory.
        operation.needs_floats |= operation.kind != Kind::binary_convolution;
        for (const Read& read : operation.reads) {
            operations_[read.value].needs_floats |= read.floats;
            operations_[read.value].needs_signs |= read.signs;
        }
    }
    finished_ = true;
}

}  // namespace bnnup

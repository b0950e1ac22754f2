// The engine's face towards JavaScript: functions over numbers and places in memory. What is
// wrong with their arguments throws, which ends the program (exceptions.cpp).

#include <algorithm>
#include <limits>
#include <stdexcept>

#include "colors.h"
#include "run.h"

namespace bnnup {
const Kernel portable = {"portable", [] { return false; }};  // there is always the one for WebAssembly
}

#define EXPORT(name) extern "C" __attribute__((export_name(#name)))

namespace bnnup {
namespace {

// As in bnnup.pixels.color.
constexpr float KR = 0.299f, KB = 0.114f;
constexpr float CB_SPAN = 2 * (1 - 0.114), CR_SPAN = 2 * (1 - 0.299);

struct Plane {
    int height, width;
    Aligned<float> at;
    Plane(int height, int width) : height(height), width(width), at(size_t(height) * width) {}
};

struct Enlarger {
    Runner runner;
    Aligned<float> phases, merging, window;
    LineFloors floors;
    bool damaged;

    int scale() const { return runner.network().scale(); }

    Plane run(const Plane& plane) {
        Plane result(plane.height * scale(), plane.width * scale());
        Watch watch;
        runner.run(plane.at.data(), plane.height, plane.width, result.at.data(), 1, watch);
        return result;
    }
};

template <class T>
constexpr float WHITE = std::numeric_limits<T>::max();

template <class T>
struct Pixels {
    T* samples;  // (height, width, channels)
    int height, width, channels;

    size_t count() const { return size_t(height) * width; }

    Plane plane(int channel) const {
        Plane result(height, width);
        for (size_t i = 0; i < count(); ++i) {
            result.at[i] = float(samples[i * channels + channel]) / WHITE<T>;
        }
        return result;
    }

    void set(int channel, const Plane& plane) {
        for (size_t i = 0; i < count(); ++i) {
            float x = plane.at[i];
            x = x > 0.0f ? x : 0.0f;
            x = x < 1.0f ? x : 1.0f;
            samples[i * channels + channel] = T(int32_t(x * WHITE<T> + 0.5f));
        }
    }
};

struct Split {
    Plane y, cb, cr;
};

template <class T>
Split split(const Pixels<T>& pixels) {
    Split s{pixels.plane(1), pixels.plane(2), pixels.plane(0)};  // green, blue, red
    for (size_t i = 0; i < pixels.count(); ++i) {
        const float red = s.cr.at[i], green = s.y.at[i], blue = s.cb.at[i];
        const float y = green + KR * (red - green) + KB * (blue - green);
        s.y.at[i] = y;
        s.cb.at[i] = (blue - y) / CB_SPAN;
        s.cr.at[i] = (red - y) / CR_SPAN;
    }
    return s;
}

// To the first three samples of `out`.
template <class T>
void merge(const Enlarger& enlarger, const Split& s, const Plane& luma, Pixels<T>& out) {
    Colors colors;
    colors.y = s.y.at.data(), colors.cb = s.cb.at.data(), colors.cr = s.cr.at.data();
    colors.luma = luma.at.data();
    colors.height = s.y.height, colors.width = s.y.width, colors.factor = enlarger.scale();
    colors.down = colors.across = enlarger.phases.data();
    colors.weights = enlarger.window.data(), colors.window = int(enlarger.window.size());
    colors.floors = enlarger.floors;
    colors.damaged = enlarger.damaged;
    Watch watch;
    merge_colors(
        enlarger.runner.network().kernel(), colors, 1, enlarger.merging.data(), out.channels,
        out.samples, watch);
}

// Least and largest of the pixels around one.
struct Range {
    float low, high;
};

Range around(const Plane& plane, int y, int x) {
    Range range{plane.at[size_t(y) * plane.width + x], plane.at[size_t(y) * plane.width + x]};
    for (int v = std::max(y - 1, 0); v <= std::min(y + 1, plane.height - 1); ++v) {
        for (int u = std::max(x - 1, 0); u <= std::min(x + 1, plane.width - 1); ++u) {
            const float value = plane.at[size_t(v) * plane.width + u];
            range.low = std::min(range.low, value);
            range.high = std::max(range.high, value);
        }
    }
    return range;
}

// Within the range of the pixels around: opaque stays opaque.
Plane enlarge_alpha(Enlarger& enlarger, const Plane& alpha) {
    Plane result = enlarger.run(alpha);
    const int scale = enlarger.scale();
    for (int y = 0; y < alpha.height; ++y) {
        for (int x = 0; x < alpha.width; ++x) {
            const Range range = around(alpha, y, x);
            for (int i = 0; i < scale * scale; ++i) {
                const size_t row = size_t(y) * scale + i / scale;
                float& value = result.at[row * result.width + size_t(x) * scale + i % scale];
                value = std::min(std::max(value, range.low), range.high);
            }
        }
    }
    return result;
}

template <class T>
void enlarge(Enlarger& enlarger, T* samples, int height, int width, int channels, T* result) {
    if (height < 1 || width < 1 || channels < 1 || channels > 4) {
        throw std::invalid_argument("no picture");
    }
    const Pixels<T> in{samples, height, width, channels};
    Pixels<T> out{result, height * enlarger.scale(), width * enlarger.scale(), channels};
    if (channels < 3) {
        out.set(0, enlarger.run(in.plane(0)));
    } else {
        const Split s = split(in);
        merge(enlarger, s, enlarger.run(s.y), out);
    }
    if (channels % 2 == 0) out.set(channels - 1, enlarge_alpha(enlarger, in.plane(channels - 1)));
}

}  // namespace

EXPORT(allocate) void* allocate(size_t bytes) { return std::malloc(bytes); }
EXPORT(release) void release(void* memory) { std::free(memory); }

EXPORT(begin) Network* begin(int scale) { return new Network(scale, ""); }

EXPORT(kernel) const char* kernel(const Network* network) { return network->kernel().name; }

EXPORT(convolution) int convolution(
    Network* network, int input, int channels, int kernel, const float* weight, size_t weights,
    const float* bias, size_t biases) {
    return network->convolution(input, channels, kernel, {weight, weights}, {bias, biases});
}

EXPORT(quantized_convolution) int quantized_convolution(
    Network* network, int input, int channels, int kernel, const int16_t* weight, size_t weights,
    const float* levels, size_t level_count, const float* scale, size_t scales, const float* bias,
    size_t biases) {
    return network->quantized_convolution(
        input, channels, kernel, {weight, weights}, {levels, level_count}, {scale, scales},
        {bias, biases});
}

EXPORT(binary_convolution) int binary_convolution(
    Network* network, int input, int channels, int kernel, const char* skip,
    const char* activation, const uint8_t* weight, size_t weights, const float* scale,
    size_t scales, const float* shift, size_t shifts, const float* slope, size_t slopes,
    const float* offset, size_t offsets) {
    return network->binary_convolution(
        input, channels, kernel, skip, activation, {weight, weights}, {scale, scales},
        {shift, shifts}, {slope, slopes}, {offset, offsets});
}

EXPORT(add) int add(Network* network, int left, int right) { return network->add(left, right); }

EXPORT(concatenate) int concatenate(Network* network, const int* parts, size_t count) {
    return network->concatenate({parts, parts + count});
}

EXPORT(pixel_shuffle) int pixel_shuffle(Network* network, int input, int factor) {
    return network->pixel_shuffle(input, factor);
}

EXPORT(bicubic) int bicubic(
    Network* network, int input, int factor, const float* phases, size_t count) {
    return network->bicubic(input, factor, {phases, count});
}

EXPORT(channel_attention) int channel_attention(
    Network* network, int input, int squeeze, int window, const float* down, size_t downs,
    const float* down_bias, size_t down_biases, const float* up, size_t ups,
    const float* up_bias, size_t up_biases) {
    return network->channel_attention(
        input, squeeze, window, {down, downs}, {down_bias, down_biases}, {up, ups},
        {up_bias, up_biases});
}

// Takes the network. phases: (scale, BICUBIC_TAPS); merging: (4), as in bnnup.pixels.color;
// weights: (window), and the floors of luma and chroma, as in bnnup.pixels.chroma.
EXPORT(finish) Enlarger* finish(
    Network* network, const float* phases, const float* merging, const float* weights, int window,
    float luma_floor, float chroma_floor, bool damaged) {
    network->finish();
    const size_t count = size_t(network->scale()) * BICUBIC_TAPS;
    auto* enlarger = new Enlarger{
        Runner(std::move(*network)), Aligned<float>(phases, phases + count),
        Aligned<float>(merging, merging + 4), Aligned<float>(weights, weights + window),
        {luma_floor, chroma_floor}, damaged};
    delete network;
    return enlarger;
}

// (height, width) pixels of 1 to 4 samples to scale times as many each way, as
// bnnup.upscale.upscaler.Upscaler.enlarge_tile does.
EXPORT(enlarge8) void enlarge8(
    Enlarger* enlarger, uint8_t* samples, int height, int width, int channels, uint8_t* result) {
    enlarge(*enlarger, samples, height, width, channels, result);
}

EXPORT(enlarge16) void enlarge16(
    Enlarger* enlarger, uint16_t* samples, int height, int width, int channels, uint16_t* result) {
    enlarge(*enlarger, samples, height, width, channels, result);
}

}  // namespace bnnup

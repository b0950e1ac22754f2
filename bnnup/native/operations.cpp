#include "operations.h"

#include <cstring>

namespace bnnup {
namespace {

struct Job {
    const Passage& passage;
    const Operation& operation;
    const Value& result;
    char* scratch;

    const Kernel& kernel() const { return passage.network.kernel(); }
    const Value& input(size_t i = 0) const { return passage.values[operation.reads[i].value]; }
};

// Rows y - half .. y + half of a value.
struct Window {
    const float* rows[MAX_WINDOW];

    Window(const Value& value, int y, int half) {
        for (int i = 0; i <= 2 * half; ++i) rows[i] = value.float_row(y + i - half);
    }
};

void convolve(const Job& job, int y) {
    const Window window(job.input(), y, job.operation.full.kernel / 2);
    job.kernel().convolution(
        job.operation.full, window.rows, job.result.width, job.result.float_row(y));
}

void convolve_signs(const Job& job, int y) {
    const BinaryWeights& binary = job.operation.binary;
    const Value& in = job.input();
    BinaryRow row;
    for (int i = 0; i < binary.kernel; ++i) row.signs[i] = in.sign_row(y + i - binary.kernel / 2);
    row.plane = in.sign_plane();
    if (binary.skip != Skip::none) row.skip = in.float_row(y);
    row.width = in.width;
    if (job.operation.needs_floats) row.floats = job.result.float_row(y);
    if (job.operation.needs_signs) row.packed = job.result.sign_row(y);
    job.kernel().binary_convolution(binary, row, reinterpret_cast<uint64_t*>(job.scratch));
}

void concatenate(const Job& job, int y) {
    float* out = job.result.float_row(y);
    for (size_t part = 0; part < job.operation.reads.size(); ++part) {
        const Value& in = job.input(part);
        const float* row = in.float_row(y);
        for (int x = 0; x < in.width; ++x) {
            std::memcpy(
                out + size_t(x) * job.result.channels, row + size_t(x) * in.channels,
                in.channels * sizeof(float));
        }
        out += in.channels;
    }
}

// Channel c * f * f + i * f + j of a pixel is channel c of the pixel i down and j across.
void shuffle_pixels(const Job& job, int y) {
    const Value& in = job.input();
    const int f = job.operation.parameter, channels = job.result.channels;
    const float* row = in.float_row(y);
    for (int i = 0; i < f; ++i) {
        float* out = job.result.float_row(y * f + i);
        for (int x = 0; x < in.width; ++x) {
            for (int j = 0; j < f; ++j) {
                for (int c = 0; c < channels; ++c) {
                    *out++ = row[size_t(x) * in.channels + (c * f + i) * f + j];
                }
            }
        }
    }
}

void enlarge(const Job& job, int y) {
    const Value& in = job.input();
    const int f = job.operation.parameter;
    const Window window(in, y, BICUBIC_TAPS / 2);
    const float* phases = job.operation.phases.data();
    for (int i = 0; i < f; ++i) {
        job.kernel().enlarge(
            window.rows, phases + i * BICUBIC_TAPS, phases, f, in.channels, in.width,
            reinterpret_cast<float*>(job.scratch), job.result.float_row(y * f + i));
    }
}

void attend(const Job& job, int y) {
    const Value& in = job.input();
    const Operation& operation = job.operation;
    const size_t count = size_t(in.width) * in.channels;
    float* mean = reinterpret_cast<float*>(job.scratch);
    float* gate = mean + count;
    float* squeezed = gate + count;
    float* sums = squeezed + size_t(in.width) * operation.full.out;
    const Window window(in, y, operation.parameter / 2);
    const Kernel& kernel = job.kernel();
    kernel.box_mean(window.rows, operation.parameter, in.channels, in.width, sums, mean);
    kernel.convolution(operation.full, &mean, in.width, squeezed);
    kernel.activate(operation.activation, squeezed, in.width, squeezed);
    kernel.convolution(operation.up, &squeezed, in.width, gate);
    kernel.weigh(in.float_row(y), gate, count, job.result.float_row(y));
}

void compute(const Job& job, int y) {
    float* out = job.result.floats ? job.result.float_row(y) : nullptr;
    switch (job.operation.kind) {
        case Kind::input:
            std::memcpy(
                out, job.passage.luma + size_t(y) * job.result.width,
                job.result.width * sizeof(float));
            return;
        case Kind::convolution: return convolve(job, y);
        case Kind::binary_convolution: return convolve_signs(job, y);
        case Kind::activation:
            return job.kernel().activate(
                job.operation.activation, job.input().float_row(y), job.result.width, out);
        case Kind::add:
            return job.kernel().add(
                job.input(0).float_row(y), job.input(1).float_row(y),
                size_t(job.result.width) * job.result.channels, out);
        case Kind::concatenate: return concatenate(job, y);
        case Kind::pixel_shuffle: return shuffle_pixels(job, y);
        case Kind::bicubic: return enlarge(job, y);
        case Kind::channel_attention: return attend(job, y);
    }
}

// Copies the pixels at both ends of a row outwards; a pixel is `size` numbers.
template <class T>
void extend(T* row, int width, size_t size, int border) {
    for (int x = 1; x <= border; ++x) {
        std::memcpy(row - x * size, row, size * sizeof(T));
        std::memcpy(row + (width - 1 + x) * size, row + (width - 1) * size, size * sizeof(T));
    }
}

void finish_row(const Job& job, int y) {
    const Value& value = job.result;
    if (value.floats) extend(value.float_row(y), value.width, value.channels, value.border);
    if (!value.signs) return;
    char* signs = value.sign_row(y);
    if (job.operation.kind != Kind::binary_convolution) {
        job.kernel().pack(
            value.float_row(y), value.channels, value.width, signs, value.sign_plane());
    }
    for (int plane = 0; plane < value.layout.planes; ++plane) {
        extend(signs + plane * value.sign_plane(), value.width, value.layout.bytes, BORDER);
    }
}

}  // namespace

void compute_row(const Passage& passage, int operation, int y, char* scratch) {
    const Operation& what = passage.network.operations()[operation];
    const Job job{passage, what, passage.values[operation], scratch};
    const bool one_to_one = what.kind != Kind::pixel_shuffle && what.kind != Kind::bicubic;
    const int step = one_to_one ? 1 : what.parameter;
    const int rows = what.factor / step;  // of what is read, per row of the input
    for (int row = y * rows; row < (y + 1) * rows; ++row) {
        compute(job, row);
        for (int i = row * step; i < (row + 1) * step; ++i) finish_row(job, i);
    }
}

}  // namespace bnnup

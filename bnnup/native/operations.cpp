#include "operations.h"

#include <cstring>

namespace bnnup {
namespace {

// `columns` are those of what is read; of the result they are `step` times as many.
struct Job {
    const Passage& passage;
    const Operation& operation;
    const Value& result;
    Range columns;
    int step;
    char* scratch;
    int first;  // of the rows that are computed one after the other

    const Kernel& kernel() const { return passage.network.kernel(); }
    int width() const { return columns.end - columns.begin; }
    const Value& input(size_t i = 0) const { return passage.values[operation.reads[i].value]; }

    // From the first of the columns on.
    const float* row(const Value& value, int y) const {
        return value.float_row(y) + size_t(columns.begin) * value.channels;
    }
    float* out(int y) const {
        return result.float_row(y) + size_t(columns.begin) * step * result.channels;
    }
    char* sign_row(const Value& value, int y) const {
        return value.sign_row(y) + size_t(columns.begin) * value.layout.bytes;
    }
};

// Rows y - half .. y + half of what is read.
struct Window {
    const float* rows[MAX_WINDOW];

    Window(const Job& job, int y, int half) {
        for (int i = 0; i <= 2 * half; ++i) rows[i] = job.row(job.input(), y + i - half);
    }
};

void convolve(const Job& job, int y) {
    const Window window(job, y, job.operation.full.kernel / 2);
    job.kernel().convolution(job.operation.full, window.rows, job.width(), job.out(y));
}

// Integers of the rows that are read take turns in scratch, where each row finds those of the
// rows before it.
void convolve_integers(const Job& job, int y, int count) {
    const QuantizedWeights& quantized = job.operation.quantized;
    const int half = quantized.kernel / 2, turns = quantized.rows_read();
    const size_t size = quantized_count(quantized, job.width());
    int16_t* const scratch = reinterpret_cast<int16_t*>(job.scratch);
    const int16_t* rows[MAX_KERNEL];
    float* out[MAX_KERNEL];
    for (int i = 0; i < count + 2 * half; ++i) {
        const int at = y + i - half;
        int16_t* const row = scratch + size * ((at + turns) % turns);
        rows[i] = row;
        if (y != job.first && i < 2 * half) continue;
        job.kernel().quantize(quantized, job.row(job.input(), at), job.width(), row);
    }
    for (int i = 0; i < count; ++i) out[i] = job.out(y + i);
    job.kernel().quantized_convolution(
        quantized, rows, job.width(), count, scratch + size * turns, out);
}

void convolve_signs(const Job& job, int y) {
    const BinaryWeights& binary = job.operation.binary;
    const Value& in = job.input();
    BinaryRow row;
    for (int i = 0; i < binary.kernel; ++i) {
        row.signs[i] = job.sign_row(in, y + i - binary.kernel / 2);
    }
    row.plane = in.sign_plane();
    if (binary.skip != Skip::none) row.skip = job.row(in, y);
    row.width = job.width();
    if (job.operation.needs_floats) row.floats = job.out(y);
    if (job.operation.needs_signs) row.packed = job.sign_row(job.result, y);
    job.kernel().binary_convolution(binary, row, reinterpret_cast<Word*>(job.scratch));
}

void concatenate(const Job& job, int y) {
    float* out = job.out(y);
    for (size_t part = 0; part < job.operation.reads.size(); ++part) {
        const Value& in = job.input(part);
        const float* row = job.row(in, y);
        for (int x = 0; x < job.width(); ++x) {
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
    const float* row = job.row(in, y);
    for (int i = 0; i < f; ++i) {
        float* out = job.out(y * f + i);
        for (int x = 0; x < job.width(); ++x) {
            for (int j = 0; j < f; ++j) {
                for (int c = 0; c < channels; ++c) {
                    *out++ = row[size_t(x) * in.channels + (c * f + i) * f + j];
                }
            }
        }
    }
}

void enlarge(const Job& job, int y) {
    const int f = job.operation.parameter;
    const Window window(job, y, BICUBIC_TAPS / 2);
    const float* phases = job.operation.phases.data();
    for (int i = 0; i < f; ++i) {
        job.kernel().enlarge(
            window.rows, phases + i * BICUBIC_TAPS, phases, f, job.input().channels, job.width(),
            reinterpret_cast<float*>(job.scratch), job.out(y * f + i));
    }
}

void attend(const Job& job, int y) {
    const Value& in = job.input();
    const Operation& operation = job.operation;
    const int width = job.width();
    const size_t count = size_t(width) * in.channels;
    float* mean = reinterpret_cast<float*>(job.scratch);
    float* gate = mean + count;
    float* squeezed = gate + count;
    float* sums = squeezed + size_t(width) * operation.full.out;
    const Window window(job, y, operation.parameter / 2);
    const Kernel& kernel = job.kernel();
    kernel.box_mean(window.rows, operation.parameter, in.channels, width, sums, mean);
    kernel.convolution(operation.full, &mean, width, squeezed);
    kernel.rectify(squeezed, size_t(width) * operation.full.out);
    kernel.convolution(operation.up, &squeezed, width, gate);
    kernel.weigh(job.row(in, y), gate, count, job.out(y));
}

// Rows of what is read, of which results are made together.
int rows_together(const Operation& operation) {
    return operation.kind == Kind::quantized_convolution ? operation.quantized.rows_made() : 1;
}

// Results of `count` rows of what is read, one but for operations that make more together.
void compute(const Job& job, int y, int count) {
    switch (job.operation.kind) {
        case Kind::input:
            std::memcpy(
                job.out(y), job.passage.luma + size_t(y) * job.result.width + job.columns.begin,
                job.width() * sizeof(float));
            return;
        case Kind::convolution:
            return convolve(job, y);
        case Kind::quantized_convolution:
            return convolve_integers(job, y, count);
        case Kind::binary_convolution:
            return convolve_signs(job, y);
        case Kind::add:
            return job.kernel().add(
                job.row(job.input(0), y), job.row(job.input(1), y),
                size_t(job.width()) * job.result.channels, job.out(y));
        case Kind::concatenate:
            return concatenate(job, y);
        case Kind::pixel_shuffle:
            return shuffle_pixels(job, y);
        case Kind::bicubic:
            return enlarge(job, y);
        case Kind::channel_attention:
            return attend(job, y);
    }
}

// Copies the pixels at the ends of a row outwards, where `columns` reach them; a pixel is
// `size` numbers.
template <class T>
void extend(T* row, Range columns, int width, size_t size, int border) {
    for (int x = 1; x <= border && columns.begin == 0; ++x) {
        std::memcpy(row - x * size, row, size * sizeof(T));
    }
    for (int x = 0; x < border && columns.end == width; ++x) {
        std::memcpy(row + (width + x) * size, row + (width - 1) * size, size * sizeof(T));
    }
}

void finish_row(const Job& job, int y) {
    const Value& value = job.result;
    const Range columns{job.columns.begin * job.step, job.columns.end * job.step};
    if (value.floats) {
        extend(value.float_row(y), columns, value.width, value.channels, value.border);
    }
    if (!value.signs) return;
    char* signs = value.sign_row(y);
    const size_t bytes = value.layout.bytes;
    if (job.operation.kind != Kind::binary_convolution) {
        job.kernel().pack(
            job.out(y), value.channels, columns.end - columns.begin, signs + columns.begin * bytes,
            value.sign_plane());
    }
    for (int plane = 0; plane < value.layout.planes; ++plane) {
        extend(signs + plane * value.sign_plane(), columns, value.width, bytes, BORDER);
    }
}

}  // namespace

void compute_rows(const Passage& passage, int operation, Range rows, Range columns, char* scratch) {
    if (columns.begin >= columns.end) return;
    const Operation& what = passage.network.operations()[operation];
    const bool one_to_one = what.kind != Kind::pixel_shuffle && what.kind != Kind::bicubic;
    const int step = one_to_one ? 1 : what.parameter;
    const int factor = what.factor / step;  // of what is read
    const Job job{
        passage, what,    passage.values[operation], {columns.begin * factor, columns.end * factor},
        step,    scratch, rows.begin * factor};
    const int end = rows.end * factor;
    for (int row = rows.begin * factor, next; row < end; row = next) {
        next = std::min(row + rows_together(what), end);
        compute(job, row, next - row);
        for (int i = row * step; i < next * step; ++i) finish_row(job, i);
    }
}

}  // namespace bnnup

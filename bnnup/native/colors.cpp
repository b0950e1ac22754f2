#include "colors.h"

#include <algorithm>
#include <array>
#include <atomic>

#include "team.h"

namespace bnnup {
namespace {

// The last few rows of a plane, with BORDER copied pixels at either end.
class Rows {
public:
    Rows(int kept, int width)
        : kept_(kept), width_(width), memory_(kept * (size_t(width) + 2 * BORDER)) {}

    // Column 0 of a row.
    float* operator[](int y) {
        return &memory_[size_t(y % kept_) * (size_t(width_) + 2 * BORDER) + BORDER];
    }

    void copy(int y, const float* row) {
        std::copy_n(row, width_, (*this)[y]);
        close(y);
    }

    void close(int y) {
        float* row = (*this)[y];
        std::fill_n(row - BORDER, BORDER, row[0]);
        std::fill_n(row + width_, BORDER, row[width_ - 1]);
    }

private:
    int kept_, width_;
    Aligned<float> memory_;
};

template <int COUNT>
std::array<const float*, COUNT> rows_around(Rows& rows, int y, int height) {
    std::array<const float*, COUNT> around;
    for (int i = 0; i < COUNT; ++i) around[i] = rows[std::clamp(y + i - COUNT / 2, 0, height - 1)];
    return around;
}

// One of the two chroma planes on its way down a band.
struct Chroma {
    const float* plane;
    Rows values, products, squares;  // as wide a window as lines are laid through
    Rows moved, slopes;
    Aligned<float> spread;  // slopes of a row of the result

    Chroma(const float* plane, int window, int width, int factor)
        : plane(plane),
          values(window, width),
          products(window, width),
          squares(window, width),
          moved(BICUBIC_TAPS, width),
          slopes(BICUBIC_TAPS, width),
          spread(size_t(width) * factor) {}
};

// Rows of the two chroma planes, one below the other.
class Band {
public:
    Band(const Kernel& kernel, const Colors& colors)
        : kernel_(kernel),
          colors_(colors),
          chroma_{
              Chroma(colors.cb, colors.window, colors.width, colors.factor),
              Chroma(colors.cr, colors.window, colors.width, colors.factor)},
          luma_(colors.window, colors.width),
          squares_(colors.window, colors.width),
          base_(BICUBIC_TAPS, colors.width),
          enlarged_(size_t(colors.width) * colors.factor),
          scratch_(size_t(2) * colors.width + 2 * BORDER) {
        for (Aligned<float>& mean : means_) mean.resize(colors.width);
        for (Aligned<float>& row : spare_) row.resize(enlarged_.size());
    }

    // A row of the result for either plane, for who has no other place.
    std::array<float*, 2> spare_rows() { return {spare_[0].data(), spare_[1].data()}; }

    // For rows of the small picture: those of the result, each written to where place(row)
    // says, a pair of float*, and then handed to done(row); while go_on() says yes.
    template <class Place, class Done, class GoOn>
    void work(int begin, int end, const Place& place, const Done& done, const GoOn& go_on) {
        const int last = colors_.height - 1, reach = colors_.window / 2;
        int line = std::max(begin - BICUBIC_TAPS / 2, 0), read = std::max(line - reach, 0);
        for (int y = begin; y < end && go_on(); ++y) {
            for (; line <= std::min(y + BICUBIC_TAPS / 2, last); ++line) {
                for (; read <= std::min(line + reach, last); ++read) take_in(read);
                lay_lines(line);
            }
            for (int phase = 0; phase < colors_.factor; ++phase) {
                const size_t row = size_t(y) * colors_.factor + phase;
                write(y, phase, place(row));
                done(row);
            }
        }
    }

private:
    const float* row(const float* plane, int y) const { return plane + size_t(y) * colors_.width; }

    void take_in(int y) {
        const size_t count = size_t(colors_.width) + 2 * BORDER;
        luma_.copy(y, row(colors_.y, y));
        const float* luma = luma_[y] - BORDER;
        kernel_.multiply(luma, luma, count, squares_[y] - BORDER);
        for (Chroma& c : chroma_) {
            c.values.copy(y, row(c.plane, y));
            const float* values = c.values[y] - BORDER;
            kernel_.multiply(luma, values, count, c.products[y] - BORDER);
            kernel_.multiply(values, values, count, c.squares[y] - BORDER);
        }
    }

    const float* mean(Rows& rows, int y, int number) {
        const float* around[MAX_KERNEL];
        for (int i = 0; i < colors_.window; ++i) {
            around[i] = rows[std::clamp(y + i - colors_.window / 2, 0, colors_.height - 1)];
        }
        kernel_.window_mean(
            around, colors_.weights, colors_.window, colors_.width, scratch_.data(),
            means_[number].data());
        return means_[number].data();
    }

    void lay_lines(int y) {
        base_.copy(y, row(colors_.y, y));
        LineMoments moments;
        moments.luma = mean(luma_, y, 0);
        moments.luma_squares = mean(squares_, y, 1);
        for (Chroma& c : chroma_) {
            moments.chroma = mean(c.values, y, 2);
            moments.chroma_squares = mean(c.squares, y, 3);
            moments.products = mean(c.products, y, 4);
            c.moved.copy(y, row(c.plane, y));
            kernel_.lay_lines(
                moments, colors_.floors, colors_.width, c.slopes[y],
                colors_.damaged ? base_[y] : nullptr, c.moved[y]);
            c.moved.close(y);
        }
    }

    void enlarge(Rows& rows, int y, int phase, float* out) {
        const auto around = rows_around<BICUBIC_TAPS>(rows, y, colors_.height);
        kernel_.enlarge(
            around.data(), colors_.down + phase * BICUBIC_TAPS, colors_.across, colors_.factor, 1,
            colors_.width, scratch_.data(), out);
    }

    void write(int y, int phase, const std::array<float*, 2>& out) {
        const size_t count = enlarged_.size();
        const float* luma = colors_.luma + (size_t(y) * colors_.factor + phase) * count;
        enlarge(base_, y, phase, enlarged_.data());
        for (int i = 0; i < 2; ++i) {
            Chroma& c = chroma_[i];
            if (phase == 0) spread(c.slopes[y], c.spread.data());
            enlarge(c.moved, y, phase, out[i]);
            kernel_.follow(c.spread.data(), luma, enlarged_.data(), count, out[i]);
        }
    }

    void spread(const float* slopes, float* out) const {
        for (int x = 0; x < colors_.width; ++x) {
            out = std::fill_n(out, colors_.factor, slopes[x]);
        }
    }

    const Kernel& kernel_;
    const Colors& colors_;
    std::array<Chroma, 2> chroma_;
    Rows luma_, squares_;
    Rows base_;  // of the bicubic enlargement that the network began with
    Aligned<float> enlarged_, scratch_;
    std::array<Aligned<float>, 5> means_;
    std::array<Aligned<float>, 2> spare_;
};

// Calls work(band, begin, end, go_on) for bands of rows, each on a thread of its own where there
// is one.
template <class Work>
void share_out(
    const Kernel& kernel, const Colors& colors, int threads, Watch& watch, const Work& work) {
    check_threads(threads);
    const int count = std::min(threads, colors.height);
    std::vector<Band> bands;
    bands.reserve(count);
    for (int i = 0; i < count; ++i) bands.emplace_back(kernel, colors);
    const auto border = [&](int band) { return int(int64_t(colors.height) * band / count); };
    std::atomic<int> next{0};
    work_together(count, [&](int member) {
        const auto go_on = [&] { return watch.go_on(member); };
        for (int i; (i = next++) < count;) work(bands[i], border(i), border(i + 1), go_on);
    });
}

auto merging(uint8_t) { return &Kernel::merge8; }
auto merging(uint16_t) { return &Kernel::merge16; }
auto merging(float) { return &Kernel::merge_floats; }

}  // namespace

void follow_luma(
    const Kernel& kernel, const Colors& colors, int threads, float* cb, float* cr, Watch& watch) {
    const size_t count = size_t(colors.width) * colors.factor;
    share_out(kernel, colors, threads, watch, [&](Band& band, int begin, int end, auto go_on) {
        const auto place = [&](size_t row) {
            return std::array<float*, 2>{cb + row * count, cr + row * count};
        };
        band.work(
            begin, end, place, [](size_t) {}, go_on);
    });
}

template <class T>
void merge_colors(
    const Kernel& kernel, const Colors& colors, int threads, const float* factors, int samples,
    T* out, Watch& watch) {
    const size_t count = size_t(colors.width) * colors.factor;
    share_out(kernel, colors, threads, watch, [&](Band& band, int begin, int end, auto go_on) {
        const std::array<float*, 2> chroma = band.spare_rows();
        const auto merge = [&](size_t row) {
            (kernel.*merging(T()))(
                colors.luma + row * count, chroma[0], chroma[1], count, factors, samples,
                out + row * count * samples);
        };
        band.work(
            begin, end, [&](size_t) { return chroma; }, merge, go_on);
    });
}

template void merge_colors(const Kernel&, const Colors&, int, const float*, int, uint8_t*, Watch&);
template void merge_colors(const Kernel&, const Colors&, int, const float*, int, uint16_t*, Watch&);
template void merge_colors(const Kernel&, const Colors&, int, const float*, int, float*, Watch&);

}  // namespace bnnup

// Any CPU, in plain C++: the kernel that the others must equal, bit for bit.

#include "kernel.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

namespace bnnup {
namespace {

bool supported() { return true; }

struct Vec {
    float lane[LANES];
};
struct Ints {
    int32_t lane[LANES];
};
using Mask = unsigned;
constexpr int PIXELS = 4;
constexpr int PAIR_PIXELS = 4;
constexpr int SQUARES = 4;
constexpr int SPANS = 1;
constexpr int DOTS = 1;
constexpr int GROUPS = 1;

template <class F>
inline Vec each(F f) {
    Vec v;
    for (int i = 0; i < LANES; ++i) v.lane[i] = f(i);
    return v;
}

inline Vec load(const float* p) {
    return each([=](int i) { return p[i]; });
}
inline Vec load(const float* p, int n) {
    return each([=](int i) { return i < n ? p[i] : 0.0f; });
}
inline void store(float* p, Vec v) { std::memcpy(p, v.lane, sizeof v.lane); }
inline void store(float* p, Vec v, int n) { std::memcpy(p, v.lane, n * sizeof(float)); }
inline Vec broadcast(float x) {
    return each([=](int) { return x; });
}
inline Vec add(Vec a, Vec b) {
    return each([&](int i) { return a.lane[i] + b.lane[i]; });
}
inline Vec multiply(Vec a, Vec b) {
    return each([&](int i) { return a.lane[i] * b.lane[i]; });
}
inline Vec multiply_add(Vec a, Vec b, Vec c) {
    return each([&](int i) { return std::fma(a.lane[i], b.lane[i], c.lane[i]); });
}
inline Mask negative(Vec v) {
    Mask m = 0;
    for (int i = 0; i < LANES; ++i) m |= Mask(v.lane[i] < 0) << i;
    return m;
}
inline Vec select(Mask m, Vec a, Vec b) {
    return each([&](int i) { return m >> i & 1 ? a.lane[i] : b.lane[i]; });
}
inline unsigned bits(Mask m) { return m; }
inline Vec to_floats(Ints v) {
    return each([&](int i) { return float(v.lane[i]); });
}

// First and second numbers apart, as compilers like them.
struct Pairs {
    int16_t first[LANES], second[LANES];
};
inline Ints zeros() { return {}; }
inline Pairs load_pairs(const int16_t* p) {
    Pairs pairs;
    for (int i = 0; i < LANES; ++i) pairs.first[i] = p[2 * i], pairs.second[i] = p[2 * i + 1];
    return pairs;
}
inline Pairs broadcast_pair(const int16_t* p) {
    int16_t pair[2];  // at once: of two loads GCC 12 makes vectors that read past the row
    std::memcpy(pair, p, sizeof pair);
    Pairs pairs;
    std::fill_n(pairs.first, LANES, pair[0]);
    std::fill_n(pairs.second, LANES, pair[1]);
    return pairs;
}
// Integers wrap around; what they end as does not depend on it.
template <class F>
inline Ints wrap(F f) {
    Ints v;
    for (int i = 0; i < LANES; ++i) v.lane[i] = int32_t(f(i));
    return v;
}
inline Ints add(const Ints& a, const Ints& b) {
    return wrap([&](int i) { return uint32_t(a.lane[i]) + uint32_t(b.lane[i]); });
}
inline Ints subtract(const Ints& a, const Ints& b) {
    return wrap([&](int i) { return uint32_t(a.lane[i]) - uint32_t(b.lane[i]); });
}
inline Ints multiply_add(const Pairs& a, const Pairs& b, const Ints& c) {
    return wrap([&](int i) {
        const int product = a.first[i] * b.first[i] + a.second[i] * b.second[i];
        return uint32_t(c.lane[i]) + uint32_t(product);
    });
}

struct Shorts {
    int16_t lane[LANES];
};
inline Shorts rounded(const Vec& v) {
    const float magic = 12582912.0f;  // 1.5 * 2^23: adding it rounds to an integer
    Shorts made;
    for (int i = 0; i < LANES; ++i) {
        float x = v.lane[i] > -LARGEST_INPUT ? v.lane[i] : -LARGEST_INPUT;
        x = x < LARGEST_INPUT ? x : LARGEST_INPUT;
        made.lane[i] = int16_t(x + magic - magic);
    }
    return made;
}
inline Shorts add(const Shorts& a, Shorts b) {
    for (int i = 0; i < LANES; ++i) b.lane[i] = int16_t(a.lane[i] + b.lane[i]);
    return b;
}
inline Shorts subtract(const Shorts& a, Shorts b) {
    for (int i = 0; i < LANES; ++i) b.lane[i] = int16_t(a.lane[i] - b.lane[i]);
    return b;
}
inline void store(int16_t* p, const Shorts& v) { std::memcpy(p, v.lane, sizeof v.lane); }

inline void transpose(const float* from, size_t stride, float* to, size_t step) {
    for (int x = 0; x < LANES; ++x) {
        for (int c = 0; c < LANES; ++c) to[c * step + x] = from[x * stride + c];
    }
}

size_t binary_scratch(const BinaryWeights& op) { return size_t(op.terms()) * BLOCK * sizeof(Word); }

// The words of n pixels from x on: (terms, BLOCK).
inline void lay_out(const BinaryWeights& op, const BinaryRow& row, int x, int n, Word* out) {
    for (int term = 0; term < op.terms(); ++term) {
        read_term(op, row, term, x, n, out + term * BLOCK);
    }
}

// (groups, terms, LANES)
Aligned<Word> arrange(const BinaryWeights& op, const Word* words) {
    const int terms = op.terms();
    Aligned<Word> arranged(size_t(groups_of(op.out)) * LANES * terms);
    for (int channel = 0; channel < op.out; ++channel) {
        for (int term = 0; term < terms; ++term) {
            const size_t at = size_t(channel / LANES) * terms + term;
            arranged[at * LANES + channel % LANES] = words[size_t(channel) * terms + term];
        }
    }
    return arranged;
}

inline int popcount(Word x) {
    x -= x >> 1 & 0x55555555;
    x = (x & 0x33333333) + (x >> 2 & 0x33333333);
    x = (x + (x >> 4)) & 0x0f0f0f0f;
    return int(x * 0x01010101 >> 24);
}

// The dot products of COUNT pixels, whose operands begin at a, with the channels of a group.
template <int COUNT>
inline void dots(
    const BinaryWeights& op, const Word* weight, const Word* a, Ints (&out)[COUNT][1]) {
    for (int x = 0; x < COUNT; ++x) {
        int differing[LANES] = {};
        for (int term = 0; term < op.terms(); ++term) {
            for (int lane = 0; lane < LANES; ++lane) {
                differing[lane] += popcount(a[term * BLOCK + x] ^ weight[term * LANES + lane]);
            }
        }
        for (int lane = 0; lane < LANES; ++lane)
            out[x][0].lane[lane] = op.bits() - 2 * differing[lane];
    }
}

constexpr int PRODUCTS = WORD;

uint64_t spin(long rounds, uint64_t seed) {
    uint64_t sum = 0;
    Word a = Word(seed);
    for (long i = 0; i < rounds; ++i, a += Word(seed)) sum += popcount(a ^ Word(seed >> 32));
    return sum;
}

#include "blocks.inc"
#include "rows.inc"

}  // namespace

const Kernel portable = KERNEL_TABLE("portable", binary_convolution, convolution);

}  // namespace bnnup

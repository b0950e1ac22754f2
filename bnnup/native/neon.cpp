// AArch64, whose every CPU has NEON.

#include "kernel.h"

#if defined(__aarch64__)

#include <arm_neon.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

namespace bnnup {
namespace {

bool supported() { return true; }

constexpr int QUARTERS = LANES / 4;
constexpr int PIXELS = 4;
constexpr int PAIR_PIXELS = 4;
constexpr int SQUARES = 5;
constexpr int SPANS = 1;
constexpr int DOTS = 1;
constexpr int GROUPS = 1;

struct Vec {
    float32x4_t quarter[QUARTERS];
};
struct Ints {
    int32x4_t quarter[QUARTERS];
};
struct Mask {
    uint32x4_t quarter[QUARTERS];
};

template <class F>
inline Vec each(F f) {
    Vec v;
    for (int i = 0; i < QUARTERS; ++i) v.quarter[i] = f(i);
    return v;
}

inline Vec load(const float* p) {
    return each([=](int i) { return vld1q_f32(p + 4 * i); });
}
inline Vec load(const float* p, int n) {
    float lanes[LANES] = {};
    std::memcpy(lanes, p, n * sizeof(float));
    return load(lanes);
}
inline void store(float* p, Vec v) {
    for (int i = 0; i < QUARTERS; ++i) vst1q_f32(p + 4 * i, v.quarter[i]);
}
inline void store(float* p, Vec v, int n) {
    float lanes[LANES];
    store(lanes, v);
    std::memcpy(p, lanes, n * sizeof(float));
}
inline Vec broadcast(float x) {
    return each([=](int) { return vdupq_n_f32(x); });
}
inline Vec add(Vec a, Vec b) {
    return each([&](int i) { return vaddq_f32(a.quarter[i], b.quarter[i]); });
}
inline Vec multiply(Vec a, Vec b) {
    return each([&](int i) { return vmulq_f32(a.quarter[i], b.quarter[i]); });
}
inline Vec multiply_add(Vec a, Vec b, Vec c) {
    return each([&](int i) { return vfmaq_f32(c.quarter[i], a.quarter[i], b.quarter[i]); });
}
inline Mask negative(Vec v) {
    Mask m;
    for (int i = 0; i < QUARTERS; ++i) m.quarter[i] = vcltzq_f32(v.quarter[i]);
    return m;
}
inline Vec select(Mask m, Vec a, Vec b) {
    return each([&](int i) { return vbslq_f32(m.quarter[i], a.quarter[i], b.quarter[i]); });
}
inline unsigned bits(Mask m) {
    const uint32_t places[4] = {1, 2, 4, 8};
    unsigned all = 0;
    for (int i = 0; i < QUARTERS; ++i) {
        all |= vaddvq_u32(vandq_u32(m.quarter[i], vld1q_u32(places))) << 4 * i;
    }
    return all;
}

inline Vec to_floats(Ints v) {
    return each([&](int i) { return vcvtq_f32_s32(v.quarter[i]); });
}

// First and second numbers apart, of eight pairs each.
struct Pairs {
    int16x8x2_t half[2];
};
inline Ints zeros() {
    Ints v;
    for (int32x4_t& quarter : v.quarter) quarter = vdupq_n_s32(0);
    return v;
}
inline Pairs load_pairs(const int16_t* p) { return {{vld2q_s16(p), vld2q_s16(p + LANES)}}; }
inline Pairs broadcast_pair(const int16_t* p) {
    const int16x8x2_t both = {{vdupq_n_s16(p[0]), vdupq_n_s16(p[1])}};
    return {{both, both}};
}
inline Ints multiply_add(Pairs a, Pairs b, Ints c) {
    for (int i = 0; i < 2; ++i) {
        for (int j = 0; j < 2; ++j) {
            const int16x8_t x = a.half[i].val[j], y = b.half[i].val[j];
            c.quarter[2 * i] = vmlal_s16(c.quarter[2 * i], vget_low_s16(x), vget_low_s16(y));
            c.quarter[2 * i + 1] = vmlal_high_s16(c.quarter[2 * i + 1], x, y);
        }
    }
    return c;
}
inline Ints add(Ints a, Ints b) {
    for (int i = 0; i < QUARTERS; ++i) a.quarter[i] = vaddq_s32(a.quarter[i], b.quarter[i]);
    return a;
}
inline Ints subtract(Ints a, Ints b) {
    for (int i = 0; i < QUARTERS; ++i) a.quarter[i] = vsubq_s32(a.quarter[i], b.quarter[i]);
    return a;
}

struct Shorts {
    int16x4_t quarter[QUARTERS];
};
inline Shorts rounded(Vec v) {
    Shorts made;
    const float32x4_t largest = vdupq_n_f32(LARGEST_INPUT), least = vdupq_n_f32(-LARGEST_INPUT);
    for (int i = 0; i < QUARTERS; ++i) {
        float32x4_t x = v.quarter[i];
        x = vbslq_f32(vcgtq_f32(x, least), x, least);
        x = vminq_f32(x, largest);
        made.quarter[i] = vmovn_s32(vcvtnq_s32_f32(x));
    }
    return made;
}
inline Shorts add(Shorts a, Shorts b) {
    for (int i = 0; i < QUARTERS; ++i) a.quarter[i] = vadd_s16(a.quarter[i], b.quarter[i]);
    return a;
}
inline Shorts subtract(Shorts a, Shorts b) {
    for (int i = 0; i < QUARTERS; ++i) a.quarter[i] = vsub_s16(a.quarter[i], b.quarter[i]);
    return a;
}
inline void store(int16_t* p, Shorts v) {
    for (int i = 0; i < QUARTERS; ++i) vst1_s16(p + 4 * i, v.quarter[i]);
}

// Four pixels of four channels at a time.
inline void transpose(const float* from, size_t stride, float* to, size_t step) {
    for (int i = 0; i < LANES; ++i) {
        const float* p = from + i / 4 * 4 * stride + i % 4 * 4;
        float* out = to + i / 4 * 4 + i % 4 * 4 * step;
        float32x4x4_t block;
        for (int x = 0; x < 4; ++x) block.val[x] = vld1q_f32(p + x * stride);
        alignas(16) float turned[16];
        vst4q_f32(turned, block);
        for (int c = 0; c < 4; ++c) vst1q_f32(out + c * step, vld1q_f32(turned + 4 * c));
    }
}

size_t binary_scratch(const BinaryWeights& op) { return size_t(op.terms()) * BLOCK * sizeof(Word); }

inline void lay_out(const BinaryWeights& op, const BinaryRow& row, int x, int n, Word* out) {
    for (int term = 0; term < op.terms(); ++term) {
        read_term(op, row, term, x, n, out + term * BLOCK);
    }
}

// (groups, LANES / 4, terms, 4)
Aligned<Word> arrange(const BinaryWeights& op, const Word* words) {
    const int terms = op.terms();
    Aligned<Word> arranged(size_t(groups_of(op.out)) * LANES * terms);
    for (int channel = 0; channel < op.out; ++channel) {
        for (int term = 0; term < terms; ++term) {
            const size_t at = size_t(channel / 4) * terms + term;
            arranged[at * 4 + channel % 4] = words[size_t(channel) * terms + term];
        }
    }
    return arranged;
}

// Set bits of the products of four channels. A byte takes 31 terms.
inline uint32x4_t count(const Word* weight, const Word* a, int terms) {
    uint32x4_t sum = vdupq_n_u32(0);
    while (terms > 0) {
        uint8x16_t bytes = vdupq_n_u8(0);
        const int n = std::min(terms, 31);
        for (int term = 0; term < n; ++term, weight += 4, a += BLOCK) {
            const uint32x4_t product = veorq_u32(vdupq_n_u32(*a), vld1q_u32(weight));
            bytes = vaddq_u8(bytes, vcntq_u8(vreinterpretq_u8_u32(product)));
        }
        sum = vpadalq_u16(sum, vpaddlq_u8(bytes));
        terms -= n;
    }
    return sum;
}

template <int COUNT>
inline void dots(
    const BinaryWeights& op, const Word* weight, const Word* a, Ints (&out)[COUNT][1]) {
    const int terms = op.terms();
    const int32x4_t all = vdupq_n_s32(op.bits());
    for (int x = 0; x < COUNT; ++x) {
        for (int i = 0; i < QUARTERS; ++i) {
            const uint32x4_t counts = count(weight + size_t(i) * terms * 4, a + x, terms);
            out[x][0].quarter[i] = vsubq_s32(all, vreinterpretq_s32_u32(vaddq_u32(counts, counts)));
        }
    }
}

constexpr int PRODUCTS = 4 * 128;

uint64_t spin(long rounds, uint64_t seed) {
    uint8x16_t w = vreinterpretq_u8_u64(vdupq_n_u64(seed)), a = vmvnq_u8(w);
    uint8x16_t s0 = a, s1 = a, s2 = a, s3 = a;
    const auto step = [&](uint8x16_t& sum) {
        // The compiler is not to know that nothing changes from round to round.
        __asm__ volatile("" : "+w"(w), "+w"(a));
        sum = vaddq_u8(sum, vcntq_u8(veorq_u8(a, w)));
    };
    for (long i = 0; i < rounds; ++i) step(s0), step(s1), step(s2), step(s3);
    return vaddvq_u8(vaddq_u8(vaddq_u8(s0, s1), vaddq_u8(s2, s3)));
}

#include "blocks.inc"
#include "rows.inc"

}  // namespace

const Kernel neon = KERNEL_TABLE("neon", binary_convolution, convolution);

}  // namespace bnnup

#else

namespace bnnup {
const Kernel neon = absent("neon");
}

#endif

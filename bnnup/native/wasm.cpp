// WebAssembly with 128-bit vectors.
//
// There is no fused multiply-add that every browser has. Where relaxed instructions are
// compiled in (-mrelaxed-simd) and the CPU fuses what they multiply and add, that is what the
// kernel takes; otherwise it goes through double precision. Both give the bits of the others.
// BNNUP_FAST rounds products and sums each, for those who would rather not wait: it does not.

#include "kernel.h"

#if defined(__wasm_simd128__)

#include <wasm_simd128.h>

#include <algorithm>
#include <cstring>
#include <limits>

#include "nines.h"

namespace bnnup {
namespace {

#if defined(BNNUP_FAST)
constexpr const char* NAME = "wasm, fast and not exact";
#else
constexpr const char* NAME = "wasm";
#endif
constexpr int QUARTERS = LANES / 4;
constexpr int WORDS = 4;
constexpr int PIXELS = 4;
// As many sums of pairs as the 16 registers of x86-64 hold beside the weights.
constexpr int PAIR_PIXELS = 1;
constexpr int SQUARES = 2;
constexpr int SPANS = 1;
constexpr int DOTS = 1;
constexpr int GROUPS = 1;

struct Vec {
    v128_t quarter[QUARTERS];
};
struct Ints {
    v128_t quarter[QUARTERS];
};
using Mask = Vec;

template <class F>
[[gnu::always_inline]] inline Vec each(F f) {
    Vec v;
    for (int i = 0; i < QUARTERS; ++i) v.quarter[i] = f(i);
    return v;
}

#if defined(__wasm_relaxed_simd__)

inline v128_t fused(v128_t a, v128_t b, v128_t c) { return wasm_f32x4_relaxed_madd(a, b, c); }

// (1 + e) (1 - e) - 1 is -e^2, and 0 where the product is rounded first.
bool supported() {
    volatile float e = 1.0f / 4096;
    const v128_t product =
        fused(wasm_f32x4_splat(1 + e), wasm_f32x4_splat(1 - e), wasm_f32x4_splat(-1.0f));
    return wasm_f32x4_extract_lane(product, 0) == -e * e;
}

#elif defined(BNNUP_FAST)

bool supported() { return true; }

inline v128_t fused(v128_t a, v128_t b, v128_t c) {
    return wasm_f32x4_add(wasm_f32x4_mul(a, b), c);
}

#else

bool supported() { return true; }

// The exact sum of a and b, of which a double cannot hold all bits, as the double whose last
// bit tells that something is missing. What is rounded once more, to fewer bits, then is as if
// it had been rounded once (Boldo and Melquiond, "Emulation of FMA and correctly rounded sums:
// proved algorithms using rounding to odd", IEEE TC 2008).
inline v128_t add_to_odd(v128_t a, v128_t b) {
    const v128_t sum = wasm_f64x2_add(a, b);
    const v128_t of_b = wasm_f64x2_sub(sum, a), of_a = wasm_f64x2_sub(sum, of_b);
    const v128_t rest = wasm_f64x2_add(wasm_f64x2_sub(a, of_a), wasm_f64x2_sub(b, of_b));
    const v128_t inexact = wasm_f64x2_gt(wasm_f64x2_abs(rest), wasm_f64x2_const_splat(0));
    const v128_t even =
        wasm_i64x2_sub(wasm_v128_and(sum, wasm_i64x2_const_splat(1)), wasm_i64x2_const_splat(1));
    // One step towards the rest: away from zero where their signs are the same.
    const v128_t step =
        wasm_v128_or(wasm_i64x2_shr(wasm_v128_xor(sum, rest), 63), wasm_i64x2_const_splat(1));
    return wasm_i64x2_add(sum, wasm_v128_and(step, wasm_v128_and(inexact, even)));
}

// a * b is exact in double precision; only a sum halfway between two floats, or below the
// normal ones, may be rounded twice to something else.
inline v128_t doubtful(v128_t sum) {
    const v128_t rest = wasm_v128_and(sum, wasm_i64x2_const_splat(0x1fffffff));
    const v128_t halfway = wasm_i64x2_eq(rest, wasm_i64x2_const_splat(0x10000000));
    const v128_t small = wasm_f64x2_lt(wasm_f64x2_abs(sum), wasm_f64x2_const_splat(0x1p-126));
    const v128_t zero = wasm_f64x2_eq(sum, wasm_f64x2_const_splat(0));
    return wasm_v128_or(halfway, wasm_v128_andnot(small, zero));
}

inline v128_t wide(v128_t v) { return wasm_f64x2_promote_low_f32x4(v); }
inline v128_t high(v128_t v) { return wasm_i64x2_shuffle(v, v, 1, 1); }

#endif

inline Vec load(const float* p) {
    return each([=](int i) { return wasm_v128_load(p + 4 * i); });
}
inline Vec load(const float* p, int n) {
    float lanes[LANES] = {};
    std::memcpy(lanes, p, n * sizeof(float));
    return load(lanes);
}
inline void store(float* p, Vec v) {
    for (int i = 0; i < QUARTERS; ++i) wasm_v128_store(p + 4 * i, v.quarter[i]);
}
inline void store(float* p, Vec v, int n) {
    float lanes[LANES];
    store(lanes, v);
    std::memcpy(p, lanes, n * sizeof(float));
}
inline Vec broadcast(float x) {
    return each([=](int) { return wasm_f32x4_splat(x); });
}
inline Vec add(Vec a, Vec b) {
    return each([&](int i) { return wasm_f32x4_add(a.quarter[i], b.quarter[i]); });
}
inline Vec multiply(Vec a, Vec b) {
    return each([&](int i) { return wasm_f32x4_mul(a.quarter[i], b.quarter[i]); });
}
[[gnu::always_inline]] inline Vec multiply_add(Vec a, Vec b, Vec c) {
#if defined(__wasm_relaxed_simd__) || defined(BNNUP_FAST)
    for (int i = 0; i < QUARTERS; ++i)
        c.quarter[i] = fused(a.quarter[i], b.quarter[i], c.quarter[i]);
    return c;
#else
    v128_t product[2 * QUARTERS], addend[2 * QUARTERS], sum[2 * QUARTERS],
        doubt = wasm_i64x2_const_splat(0);
    for (int i = 0; i < 2 * QUARTERS; ++i) {
        const auto half = [&](const Vec& v) {
            return wide(i % 2 ? high(v.quarter[i / 2]) : v.quarter[i / 2]);
        };
        product[i] = wasm_f64x2_mul(half(a), half(b));
        addend[i] = half(c);
        sum[i] = wasm_f64x2_add(product[i], addend[i]);
        doubt = wasm_v128_or(doubt, doubtful(sum[i]));
    }
    if (__builtin_expect(wasm_v128_any_true(doubt), 0)) {
        for (int i = 0; i < 2 * QUARTERS; ++i) sum[i] = add_to_odd(product[i], addend[i]);
    }
    for (int i = 0; i < QUARTERS; ++i) {
        c.quarter[i] = wasm_i64x2_shuffle(
            wasm_f32x4_demote_f64x2_zero(sum[2 * i]), wasm_f32x4_demote_f64x2_zero(sum[2 * i + 1]),
            0, 2);
    }
    return c;
#endif
}
inline Mask negative(Vec v) {
    const v128_t zero = wasm_f32x4_const_splat(0);
    return each([&](int i) { return wasm_f32x4_lt(v.quarter[i], zero); });
}
inline Vec select(Mask m, Vec a, Vec b) {
    return each(
        [&](int i) { return wasm_v128_bitselect(a.quarter[i], b.quarter[i], m.quarter[i]); });
}
inline unsigned bits(Mask m) {
    const v128_t low = wasm_i16x8_narrow_i32x4(m.quarter[0], m.quarter[1]);
    const v128_t top = wasm_i16x8_narrow_i32x4(m.quarter[2], m.quarter[3]);
    return wasm_i8x16_bitmask(wasm_i8x16_narrow_i16x8(low, top));
}
inline Vec to_floats(Ints v) {
    return each([&](int i) { return wasm_f32x4_convert_i32x4(v.quarter[i]); });
}

struct Pairs {
    v128_t quarter[QUARTERS];
};
inline Ints zeros() {
    const v128_t v = wasm_i32x4_const_splat(0);
    return {{v, v, v, v}};
}
inline Pairs load_pairs(const int16_t* p) {
    Pairs pairs;
    for (int i = 0; i < QUARTERS; ++i) pairs.quarter[i] = wasm_v128_load(p + 8 * i);
    return pairs;
}
inline Pairs broadcast_pair(const int16_t* p) {
    const v128_t v = wasm_v128_load32_splat(p);
    return {{v, v, v, v}};
}
inline Ints multiply_add(Pairs a, Pairs b, Ints c) {
    for (int i = 0; i < QUARTERS; ++i) {
        const v128_t products = wasm_i32x4_dot_i16x8(a.quarter[i], b.quarter[i]);
        c.quarter[i] = wasm_i32x4_add(c.quarter[i], products);
    }
    return c;
}
inline Ints add(Ints a, Ints b) {
    for (int i = 0; i < QUARTERS; ++i) a.quarter[i] = wasm_i32x4_add(a.quarter[i], b.quarter[i]);
    return a;
}
inline Ints subtract(Ints a, Ints b) {
    for (int i = 0; i < QUARTERS; ++i) a.quarter[i] = wasm_i32x4_sub(a.quarter[i], b.quarter[i]);
    return a;
}

struct Shorts {
    v128_t half[2];
};
inline v128_t round_clamped(v128_t v) {
    v = wasm_f32x4_pmax(wasm_f32x4_const_splat(-LARGEST_INPUT), v);
    v = wasm_f32x4_pmin(wasm_f32x4_const_splat(LARGEST_INPUT), v);
    return wasm_i32x4_trunc_sat_f32x4(wasm_f32x4_nearest(v));
}
inline Shorts rounded(Vec v) {
    v128_t quarter[QUARTERS];
    for (int i = 0; i < QUARTERS; ++i) quarter[i] = round_clamped(v.quarter[i]);
    return {
        {wasm_i16x8_narrow_i32x4(quarter[0], quarter[1]),
         wasm_i16x8_narrow_i32x4(quarter[2], quarter[3])}};
}
inline Shorts add(Shorts a, Shorts b) {
    return {{wasm_i16x8_add(a.half[0], b.half[0]), wasm_i16x8_add(a.half[1], b.half[1])}};
}
inline Shorts subtract(Shorts a, Shorts b) {
    return {{wasm_i16x8_sub(a.half[0], b.half[0]), wasm_i16x8_sub(a.half[1], b.half[1])}};
}
inline void store(int16_t* p, Shorts v) {
    wasm_v128_store(p, v.half[0]);
    wasm_v128_store(p + 8, v.half[1]);
}

// Four pixels of four channels at a time.
inline void transpose(const float* from, size_t stride, float* to, size_t step) {
    for (int i = 0; i < LANES; ++i) {
        const float* p = from + i / 4 * 4 * stride + i % 4 * 4;
        float* out = to + i / 4 * 4 + i % 4 * 4 * step;
        v128_t in[4];
        for (int x = 0; x < 4; ++x) in[x] = wasm_v128_load(p + x * stride);
        const v128_t low01 = wasm_i32x4_shuffle(in[0], in[1], 0, 4, 1, 5);
        const v128_t low23 = wasm_i32x4_shuffle(in[2], in[3], 0, 4, 1, 5);
        const v128_t high01 = wasm_i32x4_shuffle(in[0], in[1], 2, 6, 3, 7);
        const v128_t high23 = wasm_i32x4_shuffle(in[2], in[3], 2, 6, 3, 7);
        wasm_v128_store(out, wasm_i64x2_shuffle(low01, low23, 0, 2));
        wasm_v128_store(out + step, wasm_i64x2_shuffle(low01, low23, 1, 3));
        wasm_v128_store(out + 2 * step, wasm_i64x2_shuffle(high01, high23, 0, 2));
        wasm_v128_store(out + 3 * step, wasm_i64x2_shuffle(high01, high23, 1, 3));
    }
}

#include "nines.inc"

inline v128_t load_words(const Word* p) { return wasm_v128_load(p); }
inline v128_t broadcast(const Word* p) { return wasm_v128_load32_splat(p); }

inline v128_t carry(v128_t x, v128_t p, v128_t q, const Word* w) {
    p = wasm_v128_xor(p, load_words(w + WORDS));
    q = wasm_v128_xor(q, load_words(w + 2 * WORDS));
    x = wasm_v128_xor(x, load_words(w));
    return wasm_v128_xor(wasm_v128_and(p, q), x);
}

// Adds up the bytes of every lane.
inline v128_t add_bytes(v128_t sum, v128_t bytes) {
    const v128_t pairs = wasm_u16x8_extadd_pairwise_u8x16(bytes);
    return wasm_i32x4_add(sum, wasm_u32x4_extadd_pairwise_u16x8(pairs));
}

// Set bits of the products of eight channels, in two vectors that share the operands of the
// pixel.
struct Counts {
    v128_t low, high;
};

inline Counts count(const Word* weight, const Word* a, int terms) {
    const size_t high = size_t(operands(terms)) * WORDS;
    Counts sums{wasm_i32x4_const_splat(0), wasm_i32x4_const_splat(0)};
    for (; terms >= NINE; terms -= NINE) {
        v128_t low_twos = wasm_i32x4_const_splat(0), high_twos = low_twos;
        for (int adder = 0; adder < 4; ++adder, weight += 3 * WORDS, a += 3 * BLOCK) {
            const v128_t x = broadcast(a), p = broadcast(a + BLOCK), q = broadcast(a + 2 * BLOCK);
            low_twos = wasm_i8x16_add(low_twos, wasm_i8x16_popcnt(carry(x, p, q, weight)));
            high_twos = wasm_i8x16_add(high_twos, wasm_i8x16_popcnt(carry(x, p, q, weight + high)));
        }
        const v128_t x = broadcast(a);
        const v128_t low_ones = wasm_i8x16_popcnt(wasm_v128_xor(x, load_words(weight)));
        const v128_t high_ones = wasm_i8x16_popcnt(wasm_v128_xor(x, load_words(weight + high)));
        // At most 72 a byte.
        sums = {
            add_bytes(sums.low, wasm_i8x16_add(wasm_i8x16_add(low_twos, low_twos), low_ones)),
            add_bytes(sums.high, wasm_i8x16_add(wasm_i8x16_add(high_twos, high_twos), high_ones))};
        weight += WORDS;
        a += BLOCK;
    }
    if (terms == 0) return sums;
    v128_t low_bytes = wasm_i32x4_const_splat(0), high_bytes = low_bytes;  // at most 64 a byte
    for (; terms > 0; --terms, weight += WORDS, a += BLOCK) {
        const v128_t x = broadcast(a);
        const v128_t low = wasm_v128_xor(x, load_words(weight));
        const v128_t high_product = wasm_v128_xor(x, load_words(weight + high));
        low_bytes = wasm_i8x16_add(low_bytes, wasm_i8x16_popcnt(low));
        high_bytes = wasm_i8x16_add(high_bytes, wasm_i8x16_popcnt(high_product));
    }
    return {add_bytes(sums.low, low_bytes), add_bytes(sums.high, high_bytes)};
}

inline v128_t lower(v128_t all, v128_t counts) {
    return wasm_i32x4_sub(all, wasm_i32x4_add(counts, counts));
}

template <int COUNT>
[[gnu::always_inline]] inline void dots(
    const BinaryWeights& op, const Word* weight, const Word* a, Ints (&out)[COUNT][1]) {
    const int terms = op.terms();
    const size_t eight = size_t(operands(terms)) * 2 * WORDS;
    const v128_t all = wasm_i32x4_splat(op.bits());
    for (int x = 0; x < COUNT; ++x) {
        for (int i = 0; i < 2; ++i) {
            const Counts sums = count(weight + i * eight, a + x, terms);
            out[x][0].quarter[2 * i] = lower(all, sums.low);
            out[x][0].quarter[2 * i + 1] = lower(all, sums.high);
        }
    }
}

constexpr int PRODUCTS = 4 * 128;

uint64_t spin(long rounds, uint64_t seed) {
    v128_t w = wasm_i64x2_splat(int64_t(seed)), a = wasm_v128_not(w);
    v128_t s0 = a, s1 = a, s2 = a, s3 = a;
    const auto step = [&](v128_t& sum) {
        // The compiler is not to know that nothing changes from round to round.
        __asm__ volatile("" : "+r"(w), "+r"(a));
        sum = wasm_i8x16_add(sum, wasm_i8x16_popcnt(wasm_v128_xor(a, w)));
    };
    for (long i = 0; i < rounds; ++i) step(s0), step(s1), step(s2), step(s3);
    s0 = wasm_i64x2_add(wasm_i64x2_add(s0, s1), wasm_i64x2_add(s2, s3));
    return uint64_t(wasm_i64x2_extract_lane(s0, 0));
}

#include "blocks.inc"
#include "rows.inc"

}  // namespace

const Kernel wasm = KERNEL_TABLE(NAME, binary_convolution, convolution);

}  // namespace bnnup

#else

namespace bnnup {
const Kernel wasm = absent("wasm");
}

#endif

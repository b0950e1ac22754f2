// WebAssembly with 128-bit vectors.
//
// There is no fused multiply-add that every browser has. Where relaxed instructions are
// compiled in (-mrelaxed-simd) and the CPU fuses what they multiply and add, that is what the
// kernel takes; otherwise it goes through double precision. Both give the bits of the others.

#include "kernel.h"

#if defined(__wasm_simd128__)

#include <wasm_simd128.h>

#include <algorithm>
#include <cstring>
#include <limits>

#include "nines.h"

namespace bnnup {
namespace {

constexpr int QUARTERS = LANES / 4;
constexpr int WORDS = 2;
constexpr int PIXELS = 4;
constexpr int DOTS = 1;

struct Vec {
    v128_t quarter[QUARTERS];
};
using Ints = Vec;
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
    const v128_t product = fused(
        wasm_f32x4_splat(1 + e), wasm_f32x4_splat(1 - e), wasm_f32x4_splat(-1.0f));
    return wasm_f32x4_extract_lane(product, 0) == -e * e;
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
    const v128_t inexact = wasm_f64x2_ne(rest, wasm_f64x2_const_splat(0));
    const v128_t even = wasm_i64x2_sub(
        wasm_v128_and(sum, wasm_i64x2_const_splat(1)), wasm_i64x2_const_splat(1));
    // One step towards the rest: away from zero where their signs are the same.
    const v128_t step = wasm_v128_or(
        wasm_i64x2_shr(wasm_v128_xor(sum, rest), 63), wasm_i64x2_const_splat(1));
    return wasm_i64x2_add(sum, wasm_v128_and(step, wasm_v128_and(inexact, even)));
}

// a * b is exact in double precision; only a sum halfway between two floats, or below the
// normal ones, may be rounded twice to something else.
inline v128_t suspicious(v128_t sum) {
    const v128_t rest = wasm_v128_and(sum, wasm_i64x2_const_splat(0x1fffffff));
    const v128_t small = wasm_f64x2_lt(wasm_f64x2_abs(sum), wasm_f64x2_const_splat(0x1p-126));
    return wasm_v128_or(wasm_i64x2_eq(rest, wasm_i64x2_const_splat(0x10000000)), small);
}

inline v128_t high(v128_t v) { return wasm_i64x2_shuffle(v, v, 1, 1); }

inline v128_t fused(v128_t a, v128_t b, v128_t c) {
    const auto wide = [](v128_t v) { return wasm_f64x2_promote_low_f32x4(v); };
    const v128_t p = wasm_f64x2_mul(wide(a), wide(b)), q = wasm_f64x2_mul(wide(high(a)), wide(high(b)));
    const v128_t r = wide(c), s = wide(high(c));
    v128_t low = wasm_f64x2_add(p, r), top = wasm_f64x2_add(q, s);
    if (__builtin_expect(wasm_v128_any_true(wasm_v128_or(suspicious(low), suspicious(top))), 0)) {
        low = add_to_odd(p, r);
        top = add_to_odd(q, s);
    }
    return wasm_i64x2_shuffle(
        wasm_f32x4_demote_f64x2_zero(low), wasm_f32x4_demote_f64x2_zero(top), 0, 2);
}

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
inline Vec multiply_add(Vec a, Vec b, Vec c) {
    return each([&](int i) { return fused(a.quarter[i], b.quarter[i], c.quarter[i]); });
}
inline Mask negative(Vec v) {
    const v128_t zero = wasm_f32x4_const_splat(0);
    return each([&](int i) { return wasm_f32x4_lt(v.quarter[i], zero); });
}
inline Vec select(Mask m, Vec a, Vec b) {
    return each([&](int i) {
        return wasm_v128_bitselect(a.quarter[i], b.quarter[i], m.quarter[i]);
    });
}
inline unsigned bits(Mask m) {
    const v128_t low = wasm_i16x8_narrow_i32x4(m.quarter[0], m.quarter[1]);
    const v128_t top = wasm_i16x8_narrow_i32x4(m.quarter[2], m.quarter[3]);
    return wasm_i8x16_bitmask(wasm_i8x16_narrow_i16x8(low, top));
}
inline Vec to_floats(Ints v) {
    return each([&](int i) { return wasm_f32x4_convert_i32x4(v.quarter[i]); });
}

#include "nines.inc"

// Set bits of the products of four channels, bytes of the even ones and of the odd ones.
struct Counts {
    v128_t even, odd;
};

inline v128_t load_words(const uint64_t* p) { return wasm_v128_load(p); }
inline v128_t broadcast(const uint64_t* p) { return wasm_v128_load64_splat(p); }

inline v128_t carry(v128_t x, v128_t p, v128_t q, const uint64_t* w) {
    p = wasm_v128_xor(p, load_words(w + WORDS));
    q = wasm_v128_xor(q, load_words(w + 2 * WORDS));
    x = wasm_v128_xor(x, load_words(w));
    return wasm_v128_xor(wasm_v128_and(p, q), x);
}

// Sums of bytes, in 32-bit lanes, two to a channel.
inline v128_t widen(v128_t bytes) {
    return wasm_u32x4_extadd_pairwise_u16x8(wasm_u16x8_extadd_pairwise_u8x16(bytes));
}

inline Counts add_bytes(Counts sums, v128_t even, v128_t odd) {
    return {wasm_i32x4_add(sums.even, widen(even)), wasm_i32x4_add(sums.odd, widen(odd))};
}

inline Counts count(const uint64_t* weight, const uint64_t* a, int terms) {
    const size_t odd = size_t(operands(terms)) * WORDS;
    Counts sums{wasm_i32x4_const_splat(0), wasm_i32x4_const_splat(0)};
    for (; terms >= NINE; terms -= NINE) {
        v128_t even_twos = wasm_i32x4_const_splat(0), odd_twos = even_twos;
        for (int adder = 0; adder < 4; ++adder, weight += 3 * WORDS, a += 3 * BLOCK) {
            const v128_t x = broadcast(a), p = broadcast(a + BLOCK), q = broadcast(a + 2 * BLOCK);
            even_twos = wasm_i8x16_add(even_twos, wasm_i8x16_popcnt(carry(x, p, q, weight)));
            odd_twos = wasm_i8x16_add(odd_twos, wasm_i8x16_popcnt(carry(x, p, q, weight + odd)));
        }
        const v128_t x = broadcast(a);
        const v128_t even_ones = wasm_i8x16_popcnt(wasm_v128_xor(x, load_words(weight)));
        const v128_t odd_ones = wasm_i8x16_popcnt(wasm_v128_xor(x, load_words(weight + odd)));
        // At most 72 a byte.
        sums = add_bytes(
            sums, wasm_i8x16_add(wasm_i8x16_add(even_twos, even_twos), even_ones),
            wasm_i8x16_add(wasm_i8x16_add(odd_twos, odd_twos), odd_ones));
        weight += WORDS;
        a += BLOCK;
    }
    if (terms == 0) return sums;
    v128_t even_bytes = wasm_i32x4_const_splat(0), odd_bytes = even_bytes;  // at most 64 a byte
    for (; terms > 0; --terms, weight += WORDS, a += BLOCK) {
        const v128_t x = broadcast(a);
        const v128_t even = wasm_v128_xor(x, load_words(weight));
        const v128_t odd_product = wasm_v128_xor(x, load_words(weight + odd));
        even_bytes = wasm_i8x16_add(even_bytes, wasm_i8x16_popcnt(even));
        odd_bytes = wasm_i8x16_add(odd_bytes, wasm_i8x16_popcnt(odd_product));
    }
    return add_bytes(sums, even_bytes, odd_bytes);
}

template <int COUNT>
[[gnu::always_inline]] inline void dots(
    const BinaryWeights& op, const uint64_t* weight, const uint64_t* a, Ints* out) {
    const int terms = op.terms();
    const size_t four = size_t(operands(terms)) * 2 * WORDS;
    const v128_t all = wasm_i32x4_splat(op.bits());
    for (int x = 0; x < COUNT; ++x) {
        for (int i = 0; i < QUARTERS; ++i) {
            const Counts sums = count(weight + i * four, a + x, terms);
            const v128_t counts = wasm_i32x4_add(
                wasm_i32x4_shuffle(sums.even, sums.odd, 0, 4, 2, 6),
                wasm_i32x4_shuffle(sums.even, sums.odd, 1, 5, 3, 7));
            out[x].quarter[i] = wasm_i32x4_sub(all, wasm_i32x4_add(counts, counts));
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

const Kernel wasm = {
    "wasm", supported, PRODUCTS, spin, sign_layout, arrange, binary_scratch, binary_convolution,
    convolution, pack, activate, add, box_mean, weigh, enlarge, merge<uint8_t>, merge<uint16_t>,
};

}  // namespace bnnup

#else

namespace bnnup {
const Kernel wasm = {"wasm", [] { return false; }};
}

#endif

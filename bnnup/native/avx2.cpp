// AVX2 with FMA (Intel since Haswell, AMD since Excavator).

#include "kernel.h"

#if defined(__x86_64__) && defined(__GNUC__)

#include <immintrin.h>

#include <algorithm>
#include <cstring>
#include <limits>

#include "nines.h"
#include "target.h"

namespace bnnup {
namespace {

bool supported() { return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"); }

TARGET_BEGIN("avx2,fma")

struct Vec {
    __m256 low, high;
};
struct Ints {
    __m256i low, high;
};
using Mask = Vec;
constexpr int WORDS = 4;
constexpr int PIXELS = 4;
constexpr int DOTS = 1;

// The first n of 8 lanes.
inline __m256i first(int n) {
    const __m256i lanes = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    return _mm256_cmpgt_epi32(_mm256_set1_epi32(n), lanes);
}

inline Vec load(const float* p) { return {_mm256_loadu_ps(p), _mm256_loadu_ps(p + 8)}; }
inline Vec load(const float* p, int n) {
    return {_mm256_maskload_ps(p, first(n)), _mm256_maskload_ps(p + 8, first(n - 8))};
}
inline void store(float* p, Vec v) {
    _mm256_storeu_ps(p, v.low);
    _mm256_storeu_ps(p + 8, v.high);
}
inline void store(float* p, Vec v, int n) {
    _mm256_maskstore_ps(p, first(n), v.low);
    _mm256_maskstore_ps(p + 8, first(n - 8), v.high);
}
inline Vec broadcast(float x) { return {_mm256_set1_ps(x), _mm256_set1_ps(x)}; }
inline Vec add(Vec a, Vec b) {
    return {_mm256_add_ps(a.low, b.low), _mm256_add_ps(a.high, b.high)};
}
inline Vec multiply(Vec a, Vec b) {
    return {_mm256_mul_ps(a.low, b.low), _mm256_mul_ps(a.high, b.high)};
}
inline Vec multiply_add(Vec a, Vec b, Vec c) {
    return {_mm256_fmadd_ps(a.low, b.low, c.low), _mm256_fmadd_ps(a.high, b.high, c.high)};
}
inline Mask negative(Vec v) {
    const __m256 zero = _mm256_setzero_ps();
    return {_mm256_cmp_ps(v.low, zero, _CMP_LT_OQ), _mm256_cmp_ps(v.high, zero, _CMP_LT_OQ)};
}
inline Vec select(Mask m, Vec a, Vec b) {
    return {_mm256_blendv_ps(b.low, a.low, m.low), _mm256_blendv_ps(b.high, a.high, m.high)};
}
inline unsigned bits(Mask m) {
    return unsigned(_mm256_movemask_ps(m.low)) | unsigned(_mm256_movemask_ps(m.high)) << 8;
}
inline Vec to_floats(Ints v) {
    return {_mm256_cvtepi32_ps(v.low), _mm256_cvtepi32_ps(v.high)};
}

#include "nines.inc"

inline __m256i load_words(const uint64_t* p) {
    return _mm256_load_si256(reinterpret_cast<const __m256i*>(p));
}
inline __m256i broadcast(const uint64_t* p) { return _mm256_set1_epi64x((long long)*p); }

// factor times the set bits of every byte, with the factor's table of nibbles.
inline __m256i count_bytes(__m256i x, __m256i table) {
    const __m256i nibble = _mm256_set1_epi8(15);
    return _mm256_add_epi8(
        _mm256_shuffle_epi8(table, _mm256_and_si256(x, nibble)),
        _mm256_shuffle_epi8(table, _mm256_and_si256(_mm256_srli_epi16(x, 4), nibble)));
}

// Set bits of the products of two vectors of channels, the even and the odd ones of eight,
// summed in 64-bit lanes. Both share the operands that a pixel brings.
struct Counts {
    __m256i even, odd;
};

inline __m256i carry(__m256i x, __m256i p, __m256i q, const uint64_t* w) {
    p = _mm256_xor_si256(p, load_words(w + WORDS));
    q = _mm256_xor_si256(q, load_words(w + 2 * WORDS));
    x = _mm256_xor_si256(x, load_words(w));
    return _mm256_xor_si256(_mm256_and_si256(p, q), x);
}

inline Counts add_bytes(Counts sums, __m256i even, __m256i odd) {
    const __m256i zero = _mm256_setzero_si256();
    return {
        _mm256_add_epi64(sums.even, _mm256_sad_epu8(even, zero)),
        _mm256_add_epi64(sums.odd, _mm256_sad_epu8(odd, zero))};
}

inline Counts count(const uint64_t* weight, const uint64_t* a, int terms) {
    const __m256i ones = _mm256_broadcastsi128_si256(
        _mm_setr_epi8(0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4));
    const __m256i twos = _mm256_add_epi8(ones, ones);
    const size_t odd = size_t(operands(terms)) * WORDS;
    Counts sums{_mm256_setzero_si256(), _mm256_setzero_si256()};
    for (; terms >= NINE; terms -= NINE) {
        __m256i x = broadcast(a + 12 * BLOCK);
        const uint64_t* w = weight + 12 * WORDS;
        // At most 72 a byte.
        __m256i even_bytes = count_bytes(_mm256_xor_si256(x, load_words(w)), ones);
        __m256i odd_bytes = count_bytes(_mm256_xor_si256(x, load_words(w + odd)), ones);
        for (int adder = 0; adder < 4; ++adder, weight += 3 * WORDS, a += 3 * BLOCK) {
            x = broadcast(a);
            const __m256i p = broadcast(a + BLOCK), q = broadcast(a + 2 * BLOCK);
            even_bytes = _mm256_add_epi8(even_bytes, count_bytes(carry(x, p, q, weight), twos));
            odd_bytes = _mm256_add_epi8(odd_bytes, count_bytes(carry(x, p, q, weight + odd), twos));
        }
        sums = add_bytes(sums, even_bytes, odd_bytes);
        weight += WORDS;
        a += BLOCK;
    }
    if (terms == 0) return sums;
    __m256i even_bytes = _mm256_setzero_si256(), odd_bytes = even_bytes;  // at most 64 a byte
    for (; terms > 0; --terms, weight += WORDS, a += BLOCK) {
        const __m256i x = broadcast(a);
        const __m256i even = _mm256_xor_si256(x, load_words(weight));
        const __m256i odd_product = _mm256_xor_si256(x, load_words(weight + odd));
        even_bytes = _mm256_add_epi8(even_bytes, count_bytes(even, ones));
        odd_bytes = _mm256_add_epi8(odd_bytes, count_bytes(odd_product, ones));
    }
    return add_bytes(sums, even_bytes, odd_bytes);
}

// Dot products of 8 channels.
inline __m256i dot_eight(const uint64_t* weight, const uint64_t* a, int terms, __m256i all) {
    const Counts sums = count(weight, a, terms);
    const __m256i counts = _mm256_or_si256(sums.even, _mm256_slli_epi64(sums.odd, 32));
    return _mm256_sub_epi32(all, _mm256_add_epi32(counts, counts));
}

template <int COUNT>
[[gnu::always_inline]] inline void dots(const BinaryWeights& op, const uint64_t* weight, const uint64_t* a, Ints* out) {
    const int terms = op.terms();
    const size_t eight = size_t(operands(terms)) * 2 * WORDS;
    const __m256i all = _mm256_set1_epi32(op.bits());
    for (int x = 0; x < COUNT; ++x) {
        out[x].low = dot_eight(weight, a + x, terms, all);
        out[x].high = dot_eight(weight + eight, a + x, terms, all);
    }
}

constexpr int PRODUCTS = 4 * 256;

uint64_t spin(long rounds, uint64_t seed) {
    __m256i w = _mm256_set1_epi64x((long long)seed), a = _mm256_set1_epi64x((long long)~seed);
    __m256i table = _mm256_set1_epi8(1);
    __m256i s0 = a, s1 = a, s2 = a, s3 = a;
    const auto step = [&](__m256i& sum) {
        // The compiler is not to know that nothing changes from round to round.
        __asm__ volatile("" : "+x"(w), "+x"(a));
        sum = _mm256_add_epi8(sum, count_bytes(_mm256_xor_si256(a, w), table));
    };
    for (long i = 0; i < rounds; ++i) step(s0), step(s1), step(s2), step(s3);
    s0 = _mm256_add_epi64(_mm256_add_epi64(s0, s1), _mm256_add_epi64(s2, s3));
    return uint64_t(_mm256_extract_epi64(s0, 0));
}

#include "blocks.inc"
#include "rows.inc"

TARGET_END

}  // namespace

const Kernel avx2 = {
    "avx2", supported, PRODUCTS, spin, sign_layout, arrange, binary_scratch, binary_convolution,
    convolution, pack, activate, add, box_mean, weigh, enlarge, merge<uint8_t>, merge<uint16_t>,
};

}  // namespace bnnup

#else

namespace bnnup {
const Kernel avx2 = {"avx2", [] { return false; }};
}

#endif

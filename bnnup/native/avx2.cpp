// AVX2 with FMA (Intel since Haswell, AMD since Excavator).

#include "kernel.h"
#include "target.h"

#if defined(BNNUP_X86)

#include <immintrin.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "cpu.h"
#include "nines.h"

namespace bnnup {
namespace {

bool supported() { return cpu().avx2; }

TARGET_BEGIN("avx2,fma")

struct Vec {
    __m256 low, high;
};
struct Ints {
    __m256i low, high;
};
using Mask = Vec;
constexpr int WORDS = 8;
constexpr int PIXELS = 4;
constexpr int PAIR_PIXELS = 3;
constexpr int SQUARES = 5;
constexpr int SPANS = 1;
constexpr int DOTS = 8;
constexpr int GROUPS = 1;

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
inline Vec to_floats(Ints v) { return {_mm256_cvtepi32_ps(v.low), _mm256_cvtepi32_ps(v.high)}; }

using Pairs = Ints;
inline Ints zeros() { return {_mm256_setzero_si256(), _mm256_setzero_si256()}; }
inline Pairs load_pairs(const int16_t* p) {
    const __m256i* vectors = reinterpret_cast<const __m256i*>(p);
    return {_mm256_load_si256(vectors), _mm256_load_si256(vectors + 1)};
}
inline Pairs broadcast_pair(const int16_t* p) {
    int pair;
    std::memcpy(&pair, p, sizeof pair);
    const __m256i v = _mm256_set1_epi32(pair);
    return {v, v};
}
// Spelled out, lest the compiler computes many products first and runs out of registers.
inline __m256i multiply_add(__m256i a, __m256i b, __m256i c) {
    __m256i product;
    __asm__("vpmaddwd %3, %2, %1\n\tvpaddd %1, %0, %0" : "+x"(c), "=&x"(product) : "x"(a), "x"(b));
    return c;
}
inline Ints multiply_add(Pairs a, Pairs b, Ints c) {
    return {multiply_add(a.low, b.low, c.low), multiply_add(a.high, b.high, c.high)};
}
inline Ints add(Ints a, Ints b) {
    return {_mm256_add_epi32(a.low, b.low), _mm256_add_epi32(a.high, b.high)};
}
inline Ints subtract(Ints a, Ints b) {
    return {_mm256_sub_epi32(a.low, b.low), _mm256_sub_epi32(a.high, b.high)};
}

struct Shorts {
    __m256i all;
};
inline __m256i round_clamped(__m256 v) {
    const __m256 largest = _mm256_set1_ps(LARGEST_INPUT), least = _mm256_set1_ps(-LARGEST_INPUT);
    return _mm256_cvtps_epi32(_mm256_min_ps(_mm256_max_ps(v, least), largest));
}
inline Shorts rounded(Vec v) {
    const __m256i mixed = _mm256_packs_epi32(round_clamped(v.low), round_clamped(v.high));
    return {_mm256_permute4x64_epi64(mixed, _MM_SHUFFLE(3, 1, 2, 0))};
}
inline Shorts add(Shorts a, Shorts b) { return {_mm256_add_epi16(a.all, b.all)}; }
inline Shorts subtract(Shorts a, Shorts b) { return {_mm256_sub_epi16(a.all, b.all)}; }
inline void store(int16_t* p, Shorts v) {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), v.all);
}

// Eight pixels and four channels at a time: pixel 4 * i + j in part i of register j, and in
// each part four pixels of four channels.
inline void transpose(const float* from, size_t stride, float* to, size_t step) {
    for (int i = 0; i < 8; ++i) {
        const float* p = from + i / 4 * 8 * stride + i % 4 * 4;
        float* out = to + i / 4 * 8 + i % 4 * 4 * step;
        __m256 in[4];
        for (int j = 0; j < 4; ++j, p += stride) {
            in[j] = _mm256_set_m128(_mm_loadu_ps(p + 4 * stride), _mm_loadu_ps(p));
        }
        const __m256d low01 = _mm256_castps_pd(_mm256_unpacklo_ps(in[0], in[1]));
        const __m256d low23 = _mm256_castps_pd(_mm256_unpacklo_ps(in[2], in[3]));
        const __m256d high01 = _mm256_castps_pd(_mm256_unpackhi_ps(in[0], in[1]));
        const __m256d high23 = _mm256_castps_pd(_mm256_unpackhi_ps(in[2], in[3]));
        _mm256_storeu_ps(out, _mm256_castpd_ps(_mm256_unpacklo_pd(low01, low23)));
        _mm256_storeu_ps(out + step, _mm256_castpd_ps(_mm256_unpackhi_pd(low01, low23)));
        _mm256_storeu_ps(out + 2 * step, _mm256_castpd_ps(_mm256_unpacklo_pd(high01, high23)));
        _mm256_storeu_ps(out + 3 * step, _mm256_castpd_ps(_mm256_unpackhi_pd(high01, high23)));
    }
}

#include "nines.inc"

inline __m256i load_words(const Word* p) {
    return _mm256_load_si256(reinterpret_cast<const __m256i*>(p));
}
inline __m256i broadcast(const Word* p) { return _mm256_set1_epi32(int(*p)); }

// factor times the set bits of every byte, with the factor's table of nibbles.
inline __m256i count_bytes(__m256i x, __m256i table) {
    const __m256i nibble = _mm256_set1_epi8(15);
    return _mm256_add_epi8(
        _mm256_shuffle_epi8(table, _mm256_and_si256(x, nibble)),
        _mm256_shuffle_epi8(table, _mm256_and_si256(_mm256_srli_epi16(x, 4), nibble)));
}

inline __m256i carry(__m256i x, __m256i p, __m256i q, const Word* w) {
    p = _mm256_xor_si256(p, load_words(w + WORDS));
    q = _mm256_xor_si256(q, load_words(w + 2 * WORDS));
    x = _mm256_xor_si256(x, load_words(w));
    return _mm256_xor_si256(_mm256_and_si256(p, q), x);
}

// Adds up the bytes of every lane.
inline __m256i lower(__m256i sum, __m256i bytes) {
    const __m256i pairs = _mm256_maddubs_epi16(bytes, _mm256_set1_epi8(-2));
    return _mm256_add_epi32(sum, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
}

// The dot products of a pixel with the channels of a group, in two vectors that share the
// operands of the pixel.
inline Ints dot(const BinaryWeights& op, const Word* weight, const Word* a) {
    const __m256i ones =
        _mm256_broadcastsi128_si256(_mm_setr_epi8(0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4));
    const __m256i twos = _mm256_add_epi8(ones, ones);
    int terms = op.terms();
    const size_t high = size_t(operands(terms)) * WORDS;
    Ints sums{_mm256_set1_epi32(op.bits()), _mm256_set1_epi32(op.bits())};
    for (; terms >= NINE; terms -= NINE) {
        __m256i x = broadcast(a + 12 * BLOCK);
        const Word* w = weight + 12 * WORDS;
        // At most 72 a byte.
        __m256i low_bytes = count_bytes(_mm256_xor_si256(x, load_words(w)), ones);
        __m256i high_bytes = count_bytes(_mm256_xor_si256(x, load_words(w + high)), ones);
        for (int adder = 0; adder < 4; ++adder, weight += 3 * WORDS, a += 3 * BLOCK) {
            x = broadcast(a);
            const __m256i p = broadcast(a + BLOCK), q = broadcast(a + 2 * BLOCK);
            low_bytes = _mm256_add_epi8(low_bytes, count_bytes(carry(x, p, q, weight), twos));
            high_bytes =
                _mm256_add_epi8(high_bytes, count_bytes(carry(x, p, q, weight + high), twos));
        }
        sums = {lower(sums.low, low_bytes), lower(sums.high, high_bytes)};
        weight += WORDS;
        a += BLOCK;
    }
    if (terms == 0) return sums;
    __m256i low_bytes = _mm256_setzero_si256(), high_bytes = low_bytes;  // at most 64 a byte
    for (; terms > 0; --terms, weight += WORDS, a += BLOCK) {
        const __m256i x = broadcast(a);
        const __m256i low = _mm256_xor_si256(x, load_words(weight));
        const __m256i high_product = _mm256_xor_si256(x, load_words(weight + high));
        low_bytes = _mm256_add_epi8(low_bytes, count_bytes(low, ones));
        high_bytes = _mm256_add_epi8(high_bytes, count_bytes(high_product, ones));
    }
    return {lower(sums.low, low_bytes), lower(sums.high, high_bytes)};
}

template <int COUNT>
inline void dots(
    const BinaryWeights& op, const Word* weight, const Word* a, Ints (&out)[COUNT][1]) {
    for (int x = 0; x < COUNT; ++x) out[x][0] = dot(op, weight, a + x);
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

const Kernel avx2 = KERNEL_TABLE("avx2", binary_convolution, convolution);

}  // namespace bnnup

#else

namespace bnnup {
const Kernel avx2 = absent("avx2");
}

#endif

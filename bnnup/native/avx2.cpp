// AVX2 with FMA (Intel since Haswell, AMD since Excavator).

#include "kernel.h"

#if defined(__x86_64__) && defined(__GNUC__)

#include <immintrin.h>

#include <algorithm>
#include <cstring>

#include "nines.h"
#include "target.h"

namespace bnnup {
namespace {

bool supported() { return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"); }

TARGET_BEGIN("avx2,fma")

struct Vec {
    __m256 low, high;
};
using Mask = Vec;
constexpr int WORDS = 4;
constexpr int PIXELS = 6;
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

inline __m256i carry(const uint64_t* a, const uint64_t* w) {
    const __m256i p = _mm256_xor_si256(broadcast(a + BLOCK), load_words(w + WORDS));
    const __m256i q = _mm256_xor_si256(broadcast(a + 2 * BLOCK), load_words(w + 2 * WORDS));
    const __m256i x = _mm256_xor_si256(broadcast(a), load_words(w));
    return _mm256_xor_si256(_mm256_and_si256(p, q), x);
}

// Set bits of nine products in WORDS channels, at most 72 a byte, summed per word. The
// carries go through one more adder, so that four tables are looked up and not five.
inline __m256i count_nine(const uint64_t* a, const uint64_t* w) {
    const __m256i ones = _mm256_broadcastsi128_si256(
        _mm_setr_epi8(0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4));
    const __m256i twos = _mm256_add_epi8(ones, ones), fours = _mm256_add_epi8(twos, twos);
    const __m256i c0 = carry(a, w);
    const __m256i c1 = carry(a + 3 * BLOCK, w + 3 * WORDS);
    const __m256i c2 = carry(a + 6 * BLOCK, w + 6 * WORDS);
    const __m256i c3 = carry(a + 9 * BLOCK, w + 9 * WORDS);
    const __m256i one = _mm256_xor_si256(broadcast(a + 12 * BLOCK), load_words(w + 12 * WORDS));
    const __m256i p = _mm256_xor_si256(c0, c1), q = _mm256_xor_si256(c0, c2);
    const __m256i four = _mm256_xor_si256(_mm256_and_si256(p, q), c0);
    const __m256i two = _mm256_xor_si256(p, c2);
    const __m256i bytes = _mm256_add_epi8(
        _mm256_add_epi8(count_bytes(one, ones), count_bytes(two, twos)),
        _mm256_add_epi8(count_bytes(c3, twos), count_bytes(four, fours)));
    return _mm256_sad_epu8(bytes, _mm256_setzero_si256());
}

inline __m256i count_one(const uint64_t* a, const uint64_t* w) {
    const __m256i ones = _mm256_broadcastsi128_si256(
        _mm_setr_epi8(0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4));
    const __m256i product = _mm256_xor_si256(broadcast(a), load_words(w));
    return _mm256_sad_epu8(count_bytes(product, ones), _mm256_setzero_si256());
}

// Set bits of all products, in 64-bit lanes.
inline __m256i count(const uint64_t* weight, const uint64_t* a, int terms) {
    __m256i sum = _mm256_setzero_si256();
    for (; terms >= NINE; terms -= NINE, weight += NINE_OPERANDS * WORDS, a += NINE_OPERANDS * BLOCK) {
        sum = _mm256_add_epi64(sum, count_nine(a, weight));
    }
    for (; terms > 0; --terms, weight += WORDS, a += BLOCK) {
        sum = _mm256_add_epi64(sum, count_one(a, weight));
    }
    return sum;
}

// Dot products of 8 channels, from the vector of the even and that of the odd ones.
inline __m256 dot_eight(const uint64_t* weight, const uint64_t* a, int terms, __m256i all) {
    const __m256i even = count(weight, a, terms);
    const __m256i odd = count(weight + operands(terms) * WORDS, a, terms);
    const __m256i counts = _mm256_or_si256(even, _mm256_slli_epi64(odd, 32));
    return _mm256_cvtepi32_ps(_mm256_sub_epi32(all, _mm256_add_epi32(counts, counts)));
}

template <int COUNT>
inline void dots(const BinaryWeights& op, const uint64_t* weight, const uint64_t* a, Vec* out) {
    const int terms = op.terms();
    const __m256i all = _mm256_set1_epi32(op.kernel * op.kernel * op.in);
    for (int x = 0; x < COUNT; ++x) {
        out[x].low = dot_eight(weight, a + x, terms, all);
        out[x].high = dot_eight(weight + 2 * operands(terms) * WORDS, a + x, terms, all);
    }
}

#include "rows.inc"

TARGET_END

}  // namespace

const Kernel avx2 = {
    "avx2", supported, arrange, binary_scratch, binary_convolution, convolution, pack, activate,
    add, box_mean, weigh, enlarge,
};

}  // namespace bnnup

#else

namespace bnnup {
const Kernel avx2 = {"avx2", [] { return false; }};
}

#endif

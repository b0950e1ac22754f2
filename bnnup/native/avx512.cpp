// AVX-512 with VPOPCNTDQ (Intel since Ice Lake, AMD since Zen 4).

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

bool supported() { return cpu().avx512 && cpu().counts_words; }

TARGET_BEGIN("avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx512vpopcntdq,fma")

#include "avx512.inc"

constexpr int WORDS = LANES;
constexpr int DOTS = 4;
constexpr int GROUPS = 2;

#include "nines.inc"

inline __m512i load_words(const Word* p) { return _mm512_load_si512(p); }
inline __m512i broadcast(const Word* p) {
    __m512i v = _mm512_set1_epi32(int(*p));
    __asm__("" : "+v"(v));
    return v;
}

// popcount of a carry: both = p & (q ^ q') with p = a^a1 ^ w^w1 and q ^ q' = a^a2 ^ w^w2.
inline __m512i count_carry(const __m512i* a, const __m512i* w) {
    const __m512i p = _mm512_xor_si512(a[1], w[1]);
    const __m512i both = _mm512_ternarylogic_epi32(p, a[2], w[2], 0x60);
    return _mm512_popcnt_epi32(_mm512_ternarylogic_epi32(both, a[0], w[0], 0x96));
}

// Lowers sums by byte counts times a factor, given as bytes.
inline __m512i lower(__m512i sum, __m512i counts, __m512i factor) {
    return _mm512_dpbusd_epi32(sum, counts, factor);
}

// Adds the products of one word.
template <int COUNT, int N>
inline void count_singly(const Word* weight, size_t next, const Word* a, Ints (&sums)[COUNT][N]) {
    const __m512i factor = _mm512_set1_epi8(-2);
    for (int i = 0; i < N; ++i) {
        const __m512i w = load_words(weight + i * next);
        for (int x = 0; x < COUNT; ++x) {
            const __m512i product = _mm512_xor_si512(broadcast(a + x), w);
            sums[x][i] = lower(sums[x][i], _mm512_popcnt_epi32(product), factor);
        }
    }
}

// Adds the products of an adder of nines.h.
template <int COUNT, int N>
inline void count_carries(const Word* weight, size_t next, const Word* a, Ints (&sums)[COUNT][N]) {
    const __m512i factor = _mm512_set1_epi8(-4);
    __m512i w[N][3];
    for (int i = 0; i < N; ++i) {
        for (int j = 0; j < 3; ++j) w[i][j] = load_words(weight + i * next + j * WORDS);
    }
    for (int x = 0; x < COUNT; ++x) {
        const __m512i all[3] = {
            broadcast(a + x), broadcast(a + BLOCK + x), broadcast(a + 2 * BLOCK + x)};
        for (int i = 0; i < N; ++i) {
            sums[x][i] = lower(sums[x][i], count_carry(all, w[i]), factor);
        }
    }
}

// The dot products of COUNT pixels with the channels of N groups. Every operand goes through
// a register, for the same reason as in broadcast.
template <int COUNT, int N>
inline void dots(
    const BinaryWeights& op, const Word* weight, const Word* a, Ints (&out)[COUNT][N]) {
    const size_t next = size_t(operands(op.terms())) * WORDS;  // from group to group
    Ints sums[COUNT][N];
    for (int x = 0; x < COUNT; ++x) {
        for (int i = 0; i < N; ++i) sums[x][i] = _mm512_set1_epi32(op.bits());
    }
    int terms = op.terms();
    for (; terms >= NINE; terms -= NINE) {
        for (int adder = 0; adder < 4; ++adder, weight += 3 * WORDS, a += 3 * BLOCK) {
            count_carries(weight, next, a, sums);
        }
        count_singly(weight, next, a, sums);
        weight += WORDS;
        a += BLOCK;
    }
    for (; terms > 0; --terms, weight += WORDS, a += BLOCK) count_singly(weight, next, a, sums);
    for (int x = 0; x < COUNT; ++x) {
        for (int i = 0; i < N; ++i) out[x][i] = sums[x][i];
    }
}

constexpr int PRODUCTS = 8 * 512;

uint64_t spin(long rounds, uint64_t seed) {
    __m512i w = _mm512_set1_epi64((long long)seed), a = _mm512_set1_epi64((long long)~seed);
    __m512i s0 = a, s1 = a, s2 = a, s3 = a, s4 = a, s5 = a, s6 = a, s7 = a;
    const auto step = [&](__m512i& sum) {
        // The compiler is not to know that nothing changes from round to round.
        __asm__ volatile("" : "+v"(w), "+v"(a));
        sum = _mm512_add_epi64(sum, _mm512_popcnt_epi64(_mm512_xor_si512(a, w)));
    };
    for (long i = 0; i < rounds; ++i) {
        step(s0), step(s1), step(s2), step(s3), step(s4), step(s5), step(s6), step(s7);
    }
    s0 = _mm512_add_epi64(_mm512_add_epi64(s0, s1), _mm512_add_epi64(s2, s3));
    s4 = _mm512_add_epi64(_mm512_add_epi64(s4, s5), _mm512_add_epi64(s6, s7));
    return uint64_t(_mm512_reduce_add_epi64(_mm512_add_epi64(s0, s4)));
}

#include "blocks.inc"
#include "rows.inc"

TARGET_END

}  // namespace

const Kernel avx512 = KERNEL_TABLE("avx512", binary_convolution, convolution);

}  // namespace bnnup

#else

namespace bnnup {
const Kernel avx512 = absent("avx512");
}

#endif

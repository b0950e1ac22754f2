// AVX-512 with VPOPCNTDQ (Intel since Ice Lake, AMD since Zen 4).

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

bool supported() {
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw")
        && __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl")
        && __builtin_cpu_supports("avx512vnni") && __builtin_cpu_supports("avx512vpopcntdq")
        && __builtin_cpu_supports("fma");
}

TARGET_BEGIN("avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx512vpopcntdq,fma")

#include "avx512.inc"

constexpr int WORDS = 8;
constexpr int DOTS = 4;

#include "nines.inc"

inline __m512i load_words(const uint64_t* p) { return _mm512_load_si512(p); }
inline __m512i broadcast(const uint64_t* p) { return _mm512_set1_epi64((long long)*p); }

// popcount of a carry: both = p & (q ^ q') with p = a^a1 ^ w^w1 and q ^ q' = a^a2 ^ w^w2.
inline __m512i count_carry(const __m512i* a, const __m512i* w) {
    const __m512i p = _mm512_xor_si512(a[1], w[1]);
    const __m512i both = _mm512_ternarylogic_epi64(p, a[2], w[2], 0x60);
    return _mm512_popcnt_epi64(_mm512_ternarylogic_epi64(both, a[0], w[0], 0x96));
}

// Lowers sums by byte counts times a factor, given as bytes.
inline __m512i lower(__m512i sum, __m512i counts, __m512i factor) {
    return _mm512_dpbusd_epi32(sum, counts, factor);
}

// The dot products of COUNT pixels with the channels of a group. Sums stand in the low
// halves of 64-bit lanes, those of even and of odd channels apart; no count exceeds a
// byte. Every operand goes through a register and serves two or more products, for the same
// reason as in broadcast.
template <int COUNT>
inline void dots(const BinaryWeights& op, const uint64_t* weight, const uint64_t* a, Ints* out) {
    const int terms = op.terms();
    const size_t odd = size_t(operands(terms)) * WORDS;
    const __m512i one = _mm512_set1_epi8(-2), two = _mm512_set1_epi8(-4);
    __m512i sums[COUNT][2];
    for (auto& sum : sums) sum[0] = sum[1] = _mm512_set1_epi64(op.bits());
    int term = 0;
    for (; term + NINE <= terms; term += NINE) {
        for (int adder = 0; adder < 4; ++adder, weight += 3 * WORDS, a += 3 * BLOCK) {
            __m512i w[2][3];
            for (int half = 0; half < 2; ++half) {
                for (int i = 0; i < 3; ++i) w[half][i] = load_words(weight + half * odd + i * WORDS);
            }
            for (int x = 0; x < COUNT; ++x) {
                const __m512i all[3] = {
                    broadcast(a + x), broadcast(a + BLOCK + x), broadcast(a + 2 * BLOCK + x)};
                for (int half = 0; half < 2; ++half) {
                    sums[x][half] = lower(sums[x][half], count_carry(all, w[half]), two);
                }
            }
        }
        for (int half = 0; half < 2; ++half) {
            const __m512i w = load_words(weight + half * odd);
            for (int x = 0; x < COUNT; ++x) {
                const __m512i sum = _mm512_xor_si512(broadcast(a + x), w);
                sums[x][half] = lower(sums[x][half], _mm512_popcnt_epi64(sum), one);
            }
        }
        weight += WORDS;
        a += BLOCK;
    }
    for (; term < terms; ++term, weight += WORDS, a += BLOCK) {
        for (int half = 0; half < 2; ++half) {
            const __m512i w = load_words(weight + half * odd);
            for (int x = 0; x < COUNT; ++x) {
                const __m512i product = _mm512_xor_si512(broadcast(a + x), w);
                sums[x][half] = lower(sums[x][half], _mm512_popcnt_epi64(product), one);
            }
        }
    }
    for (int x = 0; x < COUNT; ++x) {
        out[x] = _mm512_mask_shuffle_epi32(sums[x][0], 0xAAAA, sums[x][1], _MM_PERM_CCAA);
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

const Kernel avx512 = {
    "avx512", supported, PRODUCTS, spin, sign_layout, arrange, binary_scratch, binary_convolution,
    convolution, pack, activate, add, box_mean, weigh, enlarge, merge<uint8_t>, merge<uint16_t>,
};

}  // namespace bnnup

#else

namespace bnnup {
const Kernel avx512 = {"avx512", [] { return false; }};
}

#endif

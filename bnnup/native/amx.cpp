// AMX (Intel Xeon since Sapphire Rapids): sign products as products of bytes, +1 and -1,
// in tiles of 16 pixels, 64 signs and 16 channels. No bit is counted here, and signs lie in
// memory as bytes; but these CPUs multiply bytes nearly three times as fast as their vectors
// count bits, and the sums are the same integers. All else is as with AVX-512.

#include "kernel.h"
#include "target.h"

// The headers of GCC and of Clang.
#if defined(BNNUP_X86) && (__has_include(<amxint8intrin.h>) || __has_include(<amxintrin.h>))

#include <immintrin.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "cpu.h"

namespace bnnup {
namespace {

bool supported() { return cpu().tiles; }

TARGET_BEGIN("avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,fma,amx-tile,amx-int8")

#include "avx512.inc"

constexpr int SIDE = 16;        // pixels or channels of a tile
constexpr int TILE = 64;        // bytes of a row of a tile
constexpr int PART = 2 * SIDE;  // pixels that are multiplied at a time

inline SignLayout sign_layout(int channels) { return as_bytes(channels); }
inline size_t group_place(int group, size_t) { return size_t(group) * LANES; }
inline void clear_signs(char*, size_t, int, int) {}
inline void fetch_ahead(const float*, size_t) {}  // it would cost more than it brings

inline void store_signs(char* place, Vec v, int n) {
    const __m128i signs = _mm_mask_blend_epi8(negative(v), _mm_set1_epi8(1), _mm_set1_epi8(-1));
    if (n == LANES) {
        _mm_storeu_si128(reinterpret_cast<__m128i*>(place), signs);
    } else {
        _mm_mask_storeu_epi8(place, Mask((1u << n) - 1), signs);
    }
}

// The compiler does not know what tiles read and write.
inline void forget() { __asm__ volatile("" ::: "memory"); }

// A kernel row of a pixel's string is `kernel * in` consecutive bytes of the row: its
// columns are neighbours. The last tile of a kernel row goes past its end, where the
// weights are 0.
inline int tiles_of(const BinaryWeights& op) { return divide_up(op.kernel * op.in, TILE); }

size_t binary_scratch(const BinaryWeights&) { return 0; }

// (groups, kernel rows, tiles, SIDE, LANES, 4) bytes: every channel's signs in fours
Aligned<Word> arrange(const BinaryWeights& op, const Word* words) {
    const int length = op.kernel * op.in, tiles = tiles_of(op);
    Aligned<Word> arranged(
        size_t(groups_of(op.out)) * op.kernel * tiles * SIDE * TILE / sizeof(Word));
    char* const bytes = reinterpret_cast<char*>(arranged.data());
    for (int channel = 0; channel < op.out; ++channel) {
        const Word* string = words + size_t(channel) * op.terms();
        for (int bit = 0; bit < op.bits(); ++bit) {
            const int ky = bit / length, i = bit % length;
            const size_t tile = (size_t(channel / LANES) * op.kernel + ky) * tiles + i / TILE;
            bytes[((tile * SIDE + i % TILE / 4) * LANES + channel % LANES) * 4 + i % 4] =
                string[bit / WORD] >> bit % WORD & 1 ? -1 : 1;
        }
    }
    return arranged;
}

// Dot products (2, PART) of some pixels with two groups of channels.
struct Products {
    Ints groups[2][PART];
};

// Of up to PART pixels from x on with a group and perhaps the one after it; tiles go past
// the last pixel. `meanwhile` is called once per tile step, and runs beside the tiles.
template <class Meanwhile>
inline void multiply(
    const BinaryWeights& op, const BinaryRow& row, int group, int x, int n, Products& out,
    const Meanwhile& meanwhile) {
    const int tiles = tiles_of(op);
    const size_t in = op.in;
    const bool two_groups = group + 1 < groups_of(op.out), two_tiles = n > SIDE;
    const Word* weight = group_weights(op, group);
    const size_t other = two_groups ? op.weight.size() / groups_of(op.out) : 0;
    _tile_zero(0);
    _tile_zero(1);
    _tile_zero(2);
    _tile_zero(3);
    forget();
    for (int ky = 0; ky < op.kernel; ++ky) {
        const char* a = row.signs[ky] + (ptrdiff_t(x) - op.kernel / 2) * ptrdiff_t(in);
        for (int tile = 0; tile < tiles; ++tile, a += TILE, weight += SIDE * TILE / sizeof(Word)) {
            _tile_loadd(4, a, in);
            _tile_loadd(6, weight, TILE);
            _tile_dpbssd(0, 4, 6);
            if (two_groups) {
                _tile_loadd(7, weight + other, TILE);
                _tile_dpbssd(1, 4, 7);
            }
            if (two_tiles) {
                _tile_loadd(5, a + SIDE * in, in);
                _tile_dpbssd(2, 5, 6);
                if (two_groups) _tile_dpbssd(3, 5, 7);
            }
            meanwhile();
        }
    }
    _tile_stored(0, out.groups[0], TILE);
    _tile_stored(1, out.groups[1], TILE);
    _tile_stored(2, out.groups[0] + SIDE, TILE);
    _tile_stored(3, out.groups[1] + SIDE, TILE);
    forget();
}

// Pixels x .. x + n whose products with two groups, or the last one, are to be finished.
struct Unfinished {
    int group, x, n;
    const Products* products;
    int done = 0;

    template <class Finish>
    void work(const BinaryWeights& op, const BinaryRow& row, int count) {
        const int begin = done;
        done = std::min(n, begin + count);
        const Finish first(op, row, group);
        if (group + 1 < groups_of(op.out)) {
            const Finish second(op, row, group + 1);
            for (int i = begin; i < done; ++i) {
                first(x + i, to_floats(products->groups[0][i]));
                second(x + i, to_floats(products->groups[1][i]));
            }
        } else {
            for (int i = begin; i < done; ++i) first(x + i, to_floats(products->groups[0][i]));
        }
    }
};

template <class Finish>
inline void convolve_blocks(const BinaryWeights& op, const BinaryRow& row, Word*) {
    Products products[2];
    Unfinished last{0, 0, 0, products};
    int turn = 0;
    const int share = divide_up(PART, op.kernel * tiles_of(op));  // to finish in a tile step
    for (int group = 0; group < groups_of(op.out); group += 2) {
        for (int x = 0; x < row.width; x += PART, turn ^= 1) {
            const int n = std::min(PART, row.width - x);
            const auto finish = [&] { last.work<Finish>(op, row, share); };
            multiply(op, row, group, x, n, products[turn], finish);
            last = {group, x, n, &products[turn]};
        }
    }
    last.work<Finish>(op, row, PART);
}

// All eight tiles, 16 rows of 64 bytes each, for as long as this lives.
struct Tiles {
    Tiles() {
        alignas(CACHE_LINE) static const struct {
            uint8_t palette = 1, start = 0, reserved[14] = {};
            uint16_t row_bytes[16] = {TILE, TILE, TILE, TILE, TILE, TILE, TILE, TILE};
            uint8_t rows[16] = {SIDE, SIDE, SIDE, SIDE, SIDE, SIDE, SIDE, SIDE};
        } shape;
        _tile_loadconfig(&shape);
    }
    ~Tiles() { _tile_release(); }
};

constexpr int PRODUCTS = 4 * SIDE * TILE * LANES;

// The tile unit, fed from registers. It is slower with ones than with zeros.
uint64_t spin(long rounds, uint64_t seed) {
    alignas(CACHE_LINE) int8_t signs[SIDE * TILE];
    for (int i = 0; i < SIDE * TILE; ++i) signs[i] = seed >> (i + i / 64) % 64 & 1 ? -1 : 1;
    const Tiles tiles;
    forget();
    _tile_zero(0);
    _tile_zero(1);
    _tile_zero(2);
    _tile_zero(3);
    _tile_loadd(4, signs, TILE);
    _tile_loadd(5, signs, TILE);
    for (long i = 0; i < rounds; ++i) {
        _tile_dpbssd(0, 4, 5);
        _tile_dpbssd(1, 4, 5);
        _tile_dpbssd(2, 4, 5);
        _tile_dpbssd(3, 4, 5);
    }
    return 0;
}

#include "rows.inc"

void convolve_in_tiles(const BinaryWeights& op, const BinaryRow& row, Word* scratch) {
    const Tiles tiles;
    binary_convolution(op, row, scratch);
}

TARGET_END

}  // namespace

const Kernel amx = KERNEL_TABLE("amx", convolve_in_tiles, convolution);

}  // namespace bnnup

#else

namespace bnnup {
const Kernel amx = absent("amx");
}

#endif

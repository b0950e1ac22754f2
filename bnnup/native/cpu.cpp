#include "cpu.h"

#include "target.h"

#if defined(BNNUP_X86)

#include <cpuid.h>

#include <cstdint>
#include <initializer_list>

#if defined(__linux__)
#include <sys/syscall.h>
#include <unistd.h>
#elif defined(_WIN32)
#define NOMINMAX
#include <windows.h>
#endif

namespace bnnup {
namespace {

// State that is saved, in XCR0.
constexpr uint64_t YMM = 0x6, TILES = 3 << 17;
#if defined(__APPLE__)
constexpr uint64_t ZMM = YMM;  // macOS saves the rest from its first use on
#else
constexpr uint64_t ZMM = 0xe6;
#endif

uint64_t saved_state() {
    uint32_t low, high;
    __asm__("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return uint64_t(high) << 32 | low;
}

// Tiles are state that a system saves for those who ask for it.
bool grants_tiles() {
#if defined(__linux__)
    constexpr int ARCH_REQ_XCOMP_PERM = 0x1023, XTILEDATA = 18;
    return syscall(SYS_arch_prctl, ARCH_REQ_XCOMP_PERM, XTILEDATA) == 0;
#elif defined(_WIN32)
    using Enable = BOOL(WINAPI*)(DWORD64);
    const auto enable = reinterpret_cast<Enable>(reinterpret_cast<void*>(
        GetProcAddress(GetModuleHandleA("kernel32"), "EnableProcessOptionalXStateFeatures")));
    return enable && enable(TILES);
#else
    return false;
#endif
}

Cpu find() {
    Cpu found;
    uint32_t a, b, c, d, c1;
    if (!__get_cpuid(1, &a, &b, &c1, &d)) return found;
    const auto all = [](uint32_t word, std::initializer_list<int> bits) {
        for (int bit : bits) {
            if (!(word >> bit & 1)) return false;
        }
        return true;
    };
    constexpr int FMA = 12, XSAVE = 27, AVX = 28;
    if (!all(c1, {FMA, XSAVE, AVX}) || !__get_cpuid_count(7, 0, &a, &b, &c, &d)) return found;
    const uint64_t saved = saved_state();
    constexpr int AVX2 = 5, F = 16, DQ = 17, BW = 30, VL = 31;
    found.avx2 = (saved & YMM) == YMM && all(b, {AVX2});
    found.avx512 = found.avx2 && (saved & ZMM) == ZMM && all(b, {F, DQ, BW, VL});
    constexpr int VNNI = 11, VPOPCNTDQ = 14, AMX_TILE = 24, AMX_INT8 = 25;
    found.counts_words = found.avx512 && all(c, {VNNI, VPOPCNTDQ});
    found.tiles = found.avx512 && all(c, {VNNI}) && all(d, {AMX_TILE, AMX_INT8}) && grants_tiles()
        && (saved_state() & TILES) == TILES;
    return found;
}

}  // namespace

const Cpu& cpu() {
    static const Cpu found = find();
    return found;
}

}  // namespace bnnup

#else

namespace bnnup {

const Cpu& cpu() {
    static const Cpu none;
    return none;
}

}  // namespace bnnup

#endif

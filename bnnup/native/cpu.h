// What an x86 CPU can do, and the operating system lets it.
#pragma once

namespace bnnup {

struct Cpu {
    bool avx2 = false;          // and FMA
    bool avx512 = false;        // F, BW, DQ and VL
    bool counts_words = false;  // VPOPCNTDQ and VNNI, beside avx512
    bool tiles = false;         // AMX for bytes and VNNI, beside avx512
};

// False throughout on other CPUs.
const Cpu& cpu();

}  // namespace bnnup

// Marks the functions between TARGET_BEGIN and TARGET_END as compiled for an instruction
// set. The rest of the file, and every inline function of a header, stays baseline, so
// nothing but a chosen kernel ever runs an instruction that the CPU may lack. Include
// all headers before the region.
#pragma once

// Who has such targets. MSVC has none, and GCC cannot align vectors on the stack of Windows
// (its bug 54412): what they build has the portable kernel alone.
#if defined(__x86_64__) && (defined(__clang__) || (defined(__GNUC__) && !defined(_WIN32)))
#define BNNUP_X86
#endif

#define BNNUP_PRAGMA(text) _Pragma(#text)
#if defined(__clang__)
#define TARGET_BEGIN(features) \
    BNNUP_PRAGMA(clang attribute push(__attribute__((target(features))), apply_to = function))
#define TARGET_END BNNUP_PRAGMA(clang attribute pop)
#else
#define TARGET_BEGIN(features) BNNUP_PRAGMA(GCC push_options) BNNUP_PRAGMA(GCC target(features))
#define TARGET_END BNNUP_PRAGMA(GCC pop_options)
#endif

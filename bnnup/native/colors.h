// Colours: chroma that follows luma, merged with it into pixels. The same numbers as
// bnnup.pixels.chroma and bnnup.pixels.color.
#pragma once

#include "kernel.h"
#include "watch.h"

namespace bnnup {

struct Colors {
    const float *y = nullptr, *cb = nullptr, *cr = nullptr;  // (height, width)
    const float* luma = nullptr;  // (factor * height, factor * width): what became of y
    int height = 0, width = 0, factor = 1;
    const float *down = nullptr, *across = nullptr;  // (factor, BICUBIC_TAPS): bicubic's phases
    const float* weights = nullptr;  // (window), of the pixels that a line is laid through
    int window = 1;                  // odd, MAX_KERNEL at most
    LineFloors floors;
    bool damaged = false;
};

// Fills cb and cr, (factor * height, factor * width), in part if `watch` no longer wants them.
void follow_luma(
    const Kernel& kernel, const Colors& colors, int threads, float* cb, float* cr, Watch& watch);

// The same, merged with luma into the first three of `samples` samples of each pixel, (factor *
// height, factor * width). factors: (4), of Kernel's merge.
template <class T>
void merge_colors(
    const Kernel& kernel, const Colors& colors, int threads, const float* factors, int samples,
    T* out, Watch& watch);

}  // namespace bnnup

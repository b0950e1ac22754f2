// Runs a network on a picture.
#pragma once

#include <memory>
#include <mutex>
#include <new>

#include "plan.h"
#include "watch.h"

namespace bnnup {

struct FreePages {
    std::align_val_t alignment{CACHE_LINE};

    void operator()(char* memory) const { ::operator delete(memory, alignment); }
};
using Pages = std::unique_ptr<char, FreePages>;

// A network, ready to run from any number of threads at once.
class Runner {
public:
    explicit Runner(Network network) : network_(std::move(network)) {}

    const Network& network() const { return network_; }

    // luma: (height, width); result: (scale * height, scale * width). Uses `threads`
    // threads, the caller's among them; none is left when it returns. Of a result that
    // `watch` no longer wants, only a part is made.
    // seconds: where not null, what each operation took of all threads is added to it.
    void run(
        const float* luma, int height, int width, float* result, int threads, Watch& watch,
        double* seconds = nullptr);

    // Bytes that a run takes beside luma and result.
    size_t memory(int height, int width, int threads) const;

private:
    struct Workspace {
        Pages memory;
        size_t bytes = 0;
    };

    Workspace take_workspace(size_t bytes);
    void give_back(Workspace workspace);

    Network network_;
    std::mutex mutex_;
    Workspace spare_;  // of the last run: the next one need not fetch its pages again
};

// (height, width) to (factor * height, factor * width), the same numbers as
// bnnup.pixels.bicubic.enlarge. down, across: (factor, BICUBIC_TAPS).
void enlarge_plane(
    const Kernel& kernel, const float* plane, int height, int width, const float* down,
    const float* across, int factor, float* result, Watch& watch);

}  // namespace bnnup

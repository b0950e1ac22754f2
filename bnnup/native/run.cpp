#include "run.h"

#if defined(__linux__)
#include <sys/mman.h>
#endif

#include <algorithm>
#include <chrono>
#include <deque>
#include <stdexcept>

#include "bands.h"
#include "operations.h"
#include "team.h"

namespace bnnup {
namespace {

constexpr size_t LARGE_PAGE = 2 << 20;  // bytes

// Points values into the workspace, and the last one at the result.
std::vector<Value> place_values(
    const Network& network, const Plan& plan, char* workspace, float* result) {
    std::vector<Value> values = plan.values;
    for (size_t i = 0; i < values.size(); ++i) {
        const Operation& operation = network.operations()[i];
        if (operation.needs_floats) {
            values[i].floats = reinterpret_cast<float*>(workspace + plan.float_offset[i]);
        }
        if (operation.needs_signs) {
            values[i].signs = workspace + plan.sign_offset[i];
        }
    }
    values.back().floats = result;
    return values;
}

// Large pages, where the system has them: rows of a picture touch many small ones.
Pages allocate_pages(size_t bytes) {
    const size_t page = bytes < LARGE_PAGE ? CACHE_LINE : LARGE_PAGE;
    const size_t size = round_up(bytes + 1, page);
    const std::align_val_t alignment{page};
    Pages pages(static_cast<char*>(::operator new(size, alignment)), FreePages{alignment});
#if defined(__linux__)
    if (page == LARGE_PAGE) madvise(pages.get(), size, MADV_HUGEPAGE);
#endif
    return pages;
}

}  // namespace

void Runner::run(
    const float* luma, int height, int width, float* result, int threads, Watch& watch,
    double* seconds) {
    check_threads(threads);
    const Plan plan = make_plan(network_, height, width, threads);
    Workspace workspace = take_workspace(plan.bytes);
    const Passage passage{
        network_, place_values(network_, plan, workspace.memory.get(), result), luma};
    char* const scratch = workspace.memory.get() + plan.bytes - plan.scratch * plan.threads;
    std::deque<Bands> bands;
    for (const Sweep& sweep : plan.sweeps) {
        bands.emplace_back(sweep.bands, sweep.blocks * int(sweep.operations.size()), plan.bands);
    }
    std::vector<std::vector<double>> taken(
        plan.threads, std::vector<double>(network_.operations().size()));
    work_together(plan.threads, [&](int member) {
        for (size_t i = 0; i < plan.sweeps.size(); ++i) {
            const Sweep& sweep = plan.sweeps[i];
            const auto work = [&](int band, int step) {
                const auto begin = std::chrono::steady_clock::now();
                const int operation = sweep.operations[step % sweep.operations.size()];
                const int block = step / int(sweep.operations.size());
                const Range rows = sweep.rows(band, plan.lags[operation], height);
                const Range columns = sweep.columns(block, plan.lags[operation], width);
                compute_rows(passage, operation, rows, columns, scratch + plan.scratch * member);
                const std::chrono::duration<double> time = std::chrono::steady_clock::now() - begin;
                taken[member][operation] += time.count();
            };
            bands[i].work(work, [&] { return watch.go_on(member); });
        }
    });
    for (const std::vector<double>& of_member : taken) {
        for (size_t i = 0; seconds && i < of_member.size(); ++i) seconds[i] += of_member[i];
    }
    give_back(std::move(workspace));
}

size_t Runner::memory(int height, int width, int threads) const {
    check_threads(threads);
    return make_plan(network_, height, width, threads).bytes;
}

Runner::Workspace Runner::take_workspace(size_t bytes) {
    Workspace workspace;
    {
        const std::lock_guard<std::mutex> lock(mutex_);
        std::swap(workspace, spare_);
    }
    if (workspace.bytes < bytes) {
        workspace.memory.reset();
        workspace.bytes = bytes;
        workspace.memory = allocate_pages(bytes);
    }
    return workspace;
}

void Runner::give_back(Workspace workspace) {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (workspace.bytes > spare_.bytes) std::swap(workspace, spare_);
}

void enlarge_plane(
    const Kernel& kernel, const float* plane, int height, int width, const float* down,
    const float* across, int factor, float* result, Watch& watch) {
    const size_t stride = size_t(width) + 2 * BORDER;
    Aligned<float> scratch(stride + width), bordered(BICUBIC_TAPS * stride);
    // Row y of the plane with its border, in a place of its own among BICUBIC_TAPS.
    const auto place = [&](int y) { return &bordered[y % BICUBIC_TAPS * stride + BORDER]; };
    for (int y = 0, read = 0; y < height && watch.go_on(0); ++y) {
        for (; read < std::min(y + BORDER + 1, height); ++read) {
            const float* from = plane + size_t(read) * width;
            std::copy_n(from, width, place(read));
            std::fill_n(place(read) - BORDER, BORDER, from[0]);
            std::fill_n(place(read) + width, BORDER, from[width - 1]);
        }
        const float* rows[BICUBIC_TAPS];
        for (int tap = 0; tap < BICUBIC_TAPS; ++tap) {
            rows[tap] = place(std::clamp(y + tap - BORDER, 0, height - 1));
        }
        for (int i = 0; i < factor; ++i) {
            kernel.enlarge(
                rows, down + i * BICUBIC_TAPS, across, factor, 1, width, scratch.data(),
                result + (size_t(y) * factor + i) * width * factor);
        }
    }
}

}  // namespace bnnup

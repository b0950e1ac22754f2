#include "run.h"

#if defined(__linux__)
#include <sys/mman.h>
#endif

#include <algorithm>
#include <atomic>
#include <chrono>
#include <deque>
#include <new>
#include <stdexcept>

#include "operations.h"
#include "team.h"

namespace bnnup {
namespace {

constexpr int MAX_THREADS = 256;
constexpr size_t LARGE_PAGE = 2 << 20;  // bytes

void check_threads(int threads) {
    if (threads < 1 || threads > MAX_THREADS) {
        throw std::invalid_argument("threads must be 1 to 256");
    }
}

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
            values[i].signs = reinterpret_cast<uint64_t*>(workspace + plan.sign_offset[i]);
        }
    }
    values.back().floats = result;
    return values;
}

// The rows of one step, shared out. A row belongs to the same member in every step, so
// that it stays in that one's cache: members take turns down the picture, BAND rows each.
// Who is through helps the others.
class Share {
public:
    Share(const Step& step, int members) : step_(step), members_(members), taken_(members) {}

    template <class Work>
    void work(int member, const Work& row) {
        for (int i = 0; i < members_; ++i) {
            const int owner = (member + i) % members_;
            for (;;) {
                const int y = row_of(owner, taken_[owner].fetch_add(1, std::memory_order_relaxed));
                if (y >= step_.end) break;
                if (y >= step_.begin) row(y);
            }
        }
    }

private:
    // Row number `index` of an owner, from the turn on in which the step begins.
    int row_of(int owner, int index) const {
        const int turn = step_.begin / (BAND * members_) + index / BAND;
        return (turn * members_ + owner) * BAND + index % BAND;
    }

    Step step_;
    int members_;
    std::vector<std::atomic<int>> taken_;
};

// Large pages, where the system has them: rows of a picture touch many small ones.
char* allocate_pages(size_t bytes) {
    const size_t page = bytes < LARGE_PAGE ? CACHE_LINE : LARGE_PAGE;
    const size_t size = round_up(bytes + 1, page);
    void* memory = std::aligned_alloc(page, size);
    if (!memory) throw std::bad_alloc();
#if defined(__linux__)
    if (page == LARGE_PAGE) madvise(memory, size, MADV_HUGEPAGE);
#endif
    return static_cast<char*>(memory);
}

}  // namespace

void Runner::run(
    const float* luma, int height, int width, float* result, int threads, double* seconds) {
    check_threads(threads);
    const Plan plan = make_plan(network_, height, width, threads);
    Workspace workspace = take_workspace(plan.bytes);
    const Passage passage{
        network_, place_values(network_, plan, workspace.memory.get(), result), luma};
    char* const scratch = workspace.memory.get() + plan.bytes - plan.scratch * plan.threads;
    std::deque<Share> shares;
    for (const Step& step : plan.steps) shares.emplace_back(step, plan.threads);
    Team::work(plan.threads, [&](int member, Team& team) {
        for (size_t i = 0; i < plan.steps.size(); ++i) {
            const auto begin = std::chrono::steady_clock::now();
            const int operation = plan.steps[i].operation;
            shares[i].work(member, [&](int y) {
                compute_row(passage, operation, y, scratch + plan.scratch * member);
            });
            if (team.size() > 1) team.wait();
            if (seconds && member == 0) {
                const std::chrono::duration<double> taken = std::chrono::steady_clock::now() - begin;
                seconds[operation] += taken.count();
            }
        }
    });
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
        workspace.memory.reset(allocate_pages(bytes));
    }
    return workspace;
}

void Runner::give_back(Workspace workspace) {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (workspace.bytes > spare_.bytes) std::swap(workspace, spare_);
}

void enlarge_plane(
    const Kernel& kernel, const float* plane, int height, int width, const float* down,
    const float* across, int factor, float* result) {
    Aligned<float> scratch(2 * size_t(width) + BICUBIC_TAPS - 1);
    for (int y = 0; y < height; ++y) {
        const float* rows[BICUBIC_TAPS];
        for (int tap = 0; tap < BICUBIC_TAPS; ++tap) {
            const int row = std::clamp(y + tap - BICUBIC_TAPS / 2, 0, height - 1);
            rows[tap] = plane + size_t(row) * width;
        }
        for (int i = 0; i < factor; ++i) {
            kernel.enlarge(
                rows, down + i * BICUBIC_TAPS, across, factor, 1, width, scratch.data(),
                result + (size_t(y) * factor + i) * width * factor);
        }
    }
}

}  // namespace bnnup

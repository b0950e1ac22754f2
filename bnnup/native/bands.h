// The bands of a sweep, shared out over threads.
#pragma once

#include <algorithm>
#include <atomic>
#include <thread>
#include <vector>

#include "memory.h"

namespace bnnup {

// Every band takes the same number of steps, one after the other. A step may be taken as
// soon as the band above has done the same one; then all bands above have. So threads
// follow each other down the picture, each with a band of its own, and none waits for one
// that lags behind or has lost its core while there is a step that can be taken. A band
// begins when the one `limit` bands above is done.
class Bands {
public:
    Bands(int count, int steps, int limit) : steps_(steps), limit_(limit), bands_(count) {}

    // Calls step(band, number) for steps until all are done, or go_on() says no; for any
    // number of threads at once. Neither may throw.
    template <class Step, class GoOn>
    void work(const Step& step, const GoOn& go_on) {
        const std::atomic<int>& last = bands_.back().done;  // after it, all are done
        for (int idle = 0; last.load(std::memory_order_acquire) < steps_ && go_on();) {
            const int band = take();
            if (band < 0) {
                wait(idle);
                idle = std::min(idle + 1, SPINS);
                continue;
            }
            idle = 0;
            work_on(band, step, go_on);
        }
    }

private:
    static constexpr int SPINS = 1000;  // about 20 microseconds, some rows' worth of work

    struct alignas(CACHE_LINE) Band {
        std::atomic<int> done{0};
        std::atomic<bool> taken{false};  // only who takes a band changes `done`
    };

    int size() const { return int(bands_.size()); }

    bool is_ready(int band, int step) const {
        if (band >= limit_ && step == 0 && done(band - limit_) < steps_) return false;
        return band == 0 || done(band - 1) > step;
    }

    int done(int band) const { return bands_[band].done.load(std::memory_order_acquire); }

    // The uppermost band that has a step to be taken, or -1.
    int take() {
        for (int band = first_.load(std::memory_order_relaxed); band < size(); ++band) {
            const int done = bands_[band].done.load(std::memory_order_relaxed);
            if (done == steps_) continue;
            if (is_ready(band, done)) {
                if (!bands_[band].taken.exchange(true, std::memory_order_acquire)) return band;
            } else if (done == 0) {
                break;  // nor are those below
            }
        }
        return -1;
    }

    template <class Step, class GoOn>
    void work_on(int band, const Step& step, const GoOn& go_on) {
        Band& mine = bands_[band];
        int done = mine.done.load(std::memory_order_relaxed);
        for (int idle = 0; done < steps_ && idle < SPINS;) {
            if (!is_ready(band, done)) {
                pause();
                ++idle;
                continue;
            }
            idle = 0;
            if (!go_on()) break;
            step(band, done);
            mine.done.store(++done, std::memory_order_release);
        }
        if (done == steps_) first_.store(band + 1, std::memory_order_relaxed);
        mine.taken.store(false, std::memory_order_release);
    }

    // Gives the core away in the end, because the one that is missing may be waiting for it.
    static void wait(int idle) {
        if (idle < SPINS) {
            pause();
        } else {
            std::this_thread::yield();
        }
    }

    static void pause() {
#if defined(__x86_64__)
        __builtin_ia32_pause();
#elif defined(__aarch64__)
        __asm__ volatile("yield");
#endif
    }

    const int steps_, limit_;
    std::vector<Band> bands_;
    std::atomic<int> first_{0};  // those above it are done, and perhaps some below
};

}  // namespace bnnup

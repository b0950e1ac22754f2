// A few threads that work in step, for the length of one call.
#pragma once

#include <atomic>
#include <condition_variable>
#include <mutex>
#include <system_error>
#include <thread>
#include <vector>

namespace bnnup {

class Team {
public:
    int size() const { return size_; }

    // Lets no member pass before all have come. Spins a while, because the steps between
    // are short; then sleeps, because the one that is missing may be waiting for this core.
    void wait() {
        const unsigned round = round_.load(std::memory_order_relaxed);
        if (arrived_.fetch_add(1, std::memory_order_acq_rel) + 1 == size_) {
            arrived_.store(0, std::memory_order_relaxed);
            {
                const std::lock_guard<std::mutex> lock(mutex_);
                round_.store(round + 1, std::memory_order_release);
            }
            next_round_.notify_all();
            return;
        }
        for (int i = 0; i < SPINS; ++i) {
            if (round_.load(std::memory_order_acquire) != round) return;
            pause();
        }
        std::unique_lock<std::mutex> lock(mutex_);
        next_round_.wait(lock, [&] { return round_.load(std::memory_order_relaxed) != round; });
    }

    // Calls work(member, team) for members 0 .. size - 1, member 0 on the caller's thread.
    // The work must not throw. There are fewer members than asked for when the system
    // has no more threads to give.
    template <class Work>
    static void work(int threads, const Work& work) {
        Team team;
        std::vector<std::thread> others;
        others.reserve(threads);
        try {
            while (int(others.size()) + 1 < threads) {
                const int member = int(others.size()) + 1;
                others.emplace_back([member, &team, &work] {
                    while (!team.complete_.load(std::memory_order_acquire)) {
                        std::this_thread::yield();
                    }
                    work(member, team);
                });
            }
        } catch (const std::system_error&) {
        }
        team.size_ = int(others.size()) + 1;
        team.complete_.store(true, std::memory_order_release);
        work(0, team);
        for (std::thread& other : others) other.join();
    }

private:
    static constexpr int SPINS = 1000;  // about 20 microseconds, some rows' worth of work

    static void pause() {
#if defined(__x86_64__)
        __builtin_ia32_pause();
#elif defined(__aarch64__)
        __asm__ volatile("yield");
#endif
    }

    int size_ = 1;
    std::atomic<bool> complete_{false};
    std::atomic<int> arrived_{0};
    std::atomic<unsigned> round_{0};
    std::mutex mutex_;
    std::condition_variable next_round_;
};

}  // namespace bnnup

// Whether what is being made is still wanted.
#pragma once

#include <atomic>
#include <chrono>
#include <functional>
#include <utility>

namespace bnnup {

// Looked at by all threads that make something together, for every row or so. The caller's
// thread, member 0, asks the caller, and no more often than every PERIOD.
class Watch {
public:
    Watch() = default;  // over what is wanted to the end

    // ask: whether to go on; must not throw.
    explicit Watch(std::function<bool()> ask) : ask_(std::move(ask)) {}

    bool go_on(int member) {
        if (member == 0 && ask_ && Clock::now() >= next_) {
            if (!ask_()) wanted_.store(false, std::memory_order_relaxed);
            next_ = Clock::now() + PERIOD;
        }
        return is_wanted();
    }

    bool is_wanted() const { return wanted_.load(std::memory_order_relaxed); }

private:
    using Clock = std::chrono::steady_clock;
    static constexpr std::chrono::milliseconds PERIOD{100};

    std::function<bool()> ask_;
    Clock::time_point next_ = Clock::now() + PERIOD;
    std::atomic<bool> wanted_{true};
};

}  // namespace bnnup

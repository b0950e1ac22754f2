// A few threads for the length of one call.
#pragma once

#include <stdexcept>
#include <system_error>
#include <thread>
#include <vector>

namespace bnnup {

constexpr int MAX_THREADS = 256;

inline void check_threads(int threads) {
    if (threads < 1 || threads > MAX_THREADS) {
        throw std::invalid_argument("threads must be 1 to 256");
    }
}

// Calls work(member) for members 0 .. threads - 1, member 0 on the caller's thread. The
// work must not throw, and must get done by fewer members, too: the system may have no more
// threads to give.
template <class Work>
void work_together(int threads, const Work& work) {
    std::vector<std::thread> others;
    others.reserve(threads);
    try {
        for (int member = 1; member < threads; ++member) {
            others.emplace_back([member, &work] { work(member); });
        }
    } catch (const std::system_error&) {
    }
    work(0);
    for (std::thread& other : others) other.join();
}

}  // namespace bnnup

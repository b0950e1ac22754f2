// Memory on cache line borders.
#pragma once

#include <cstddef>
#include <cstdlib>
#include <new>
#include <vector>

namespace bnnup {

constexpr size_t CACHE_LINE = 64;  // bytes; also one 512-bit vector

constexpr size_t round_up(size_t n, size_t step) {
    return (n + step - 1) / step * step;
}

template <class T>
struct AlignedAllocator {
    using value_type = T;
    AlignedAllocator() = default;
    template <class U>
    AlignedAllocator(const AlignedAllocator<U>&) {}
    T* allocate(size_t n) {
        void* memory = std::aligned_alloc(CACHE_LINE, round_up(n * sizeof(T) + 1, CACHE_LINE));
        if (!memory) throw std::bad_alloc();
        return static_cast<T*>(memory);
    }
    void deallocate(T* memory, size_t) { std::free(memory); }
    template <class U>
    bool operator==(const AlignedAllocator<U>&) const {
        return true;
    }
    template <class U>
    bool operator!=(const AlignedAllocator<U>&) const {
        return false;
    }
};

template <class T>
using Aligned = std::vector<T, AlignedAllocator<T>>;

}  // namespace bnnup

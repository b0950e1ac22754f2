// Memory on cache line borders.
#pragma once

#include <cstddef>
#include <new>
#include <vector>

namespace bnnup {

constexpr size_t CACHE_LINE = 64;  // bytes; also one 512-bit vector

constexpr size_t round_up(size_t n, size_t step) { return (n + step - 1) / step * step; }

template <class T>
struct AlignedAllocator {
    using value_type = T;
    AlignedAllocator() = default;
    template <class U>
    AlignedAllocator(const AlignedAllocator<U>&) {}
    T* allocate(size_t n) {
        if (n > size_t(-1) / 2 / sizeof(T)) throw std::bad_alloc();
        return static_cast<T*>(::operator new (n * sizeof(T), std::align_val_t{CACHE_LINE}));
    }
    void deallocate(T* memory, size_t) { ::operator delete (memory, std::align_val_t{CACHE_LINE}); }
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

inline void prefetch([[maybe_unused]] const void* place) {
#if defined(__GNUC__) || defined(__clang__)
    __builtin_prefetch(place);
#endif
}

}  // namespace bnnup

// Nothing catches exceptions here: they end the program with their message.

#include <cstdlib>
#include <exception>
#include <typeinfo>

__attribute__((import_module("page"), import_name("fail"))) void fail(const char* message);

extern "C" {

void* __cxa_allocate_exception(size_t size) noexcept { return std::malloc(size); }
void __cxa_free_exception(void*) noexcept {}

// All that the engine throws is a std::exception, at the object's beginning.
[[noreturn]] void __cxa_throw(void* thrown, std::type_info*, void (*)(void*)) {
    fail(static_cast<std::exception*>(thrown)->what());
    std::abort();
}

}

#include <stdexcept>

#include "kernel.h"

namespace bnnup {
namespace {

#define BNNUP_ADDRESS(kernel) &kernel,
const Kernel* const TABLE[] = {BNNUP_KERNELS(BNNUP_ADDRESS)};
#undef BNNUP_ADDRESS

}  // namespace

std::vector<std::string> kernels() {
    std::vector<std::string> names;
    for (const Kernel* kernel : TABLE) {
        if (kernel->supported()) names.emplace_back(kernel->name);
    }
    return names;
}

const Kernel& find_kernel(const std::string& name) {
    for (const Kernel* kernel : TABLE) {
        if (kernel->supported() && (name.empty() || name == kernel->name)) return *kernel;
    }
    std::string known;
    for (const std::string& valid : kernels()) known += (known.empty() ? "" : ", ") + valid;
    throw std::invalid_argument("no kernel \"" + name + "\" on this machine; it has: " + known);
}

}  // namespace bnnup

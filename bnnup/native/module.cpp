// The Python face of the engine: bnnup._native, private to bnnup.backends.engine.

#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/pair.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <exception>
#include <stdexcept>

#include "colors.h"
#include "run.h"

namespace nb = nanobind;

namespace {

using namespace bnnup;

template <class T, size_t RANK>
using Array = nb::ndarray<const T, nb::ndim<RANK>, nb::c_contig, nb::device::cpu>;
using Vector = Array<float, 1>;
using Plane = Array<float, 2>;
using Result = nb::ndarray<float, nb::ndim<2>, nb::c_contig, nb::device::cpu>;

template <class A>
auto span(const A& array)
    -> Span<std::remove_const_t<std::remove_pointer_t<decltype(array.data())>>> {
    return {array.data(), array.size()};
}

// Calls work(watch) without Python's lock. What `go_on`, asked now and then, raises is the end
// of it, and raised.
template <class Work>
void while_wanted(const nb::callable& go_on, const Work& work) {
    std::exception_ptr raised;
    Watch watch([&] {
        const nb::gil_scoped_acquire lock;
        try {
            go_on();
        } catch (const nb::python_error&) {
            raised = std::current_exception();
        }
        return !raised;
    });
    {
        const nb::gil_scoped_release release;
        work(watch);
    }
    if (raised) std::rethrow_exception(raised);
}

int side(size_t size) {
    if (size < 1 || size > 1 << 20) {
        throw std::invalid_argument("a picture has 1 to 2^20 pixels a side");
    }
    return int(size);
}

void check_result(const Result& result, int height, int width, int factor) {
    if (result.shape(0) != size_t(height) * factor || result.shape(1) != size_t(width) * factor) {
        throw std::invalid_argument("the result has the wrong shape");
    }
}

// The factor that bicubic's phases are for.
int check_phases(const Plane& down, const Plane& across) {
    const int factor = int(std::min<size_t>(down.shape(0), MAX_SCALE + 1));
    if (factor < 1 || factor > MAX_SCALE || down.shape(1) != BICUBIC_TAPS
        || across.shape(0) != down.shape(0) || across.shape(1) != BICUBIC_TAPS) {
        throw std::invalid_argument("phases have the wrong shape");
    }
    return factor;
}

void enlarge(
    Plane plane, Plane down, Plane across, Result result, nb::callable go_on,
    const std::string& kernel) {
    const int height = side(plane.shape(0)), width = side(plane.shape(1));
    const int factor = check_phases(down, across);
    check_result(result, height, width, factor);
    const Kernel& chosen = find_kernel(kernel);
    while_wanted(go_on, [&](Watch& watch) {
        enlarge_plane(
            chosen, plane.data(), height, width, down.data(), across.data(), factor, result.data(),
            watch);
    });
}

template <class T>
using Pixels = nb::ndarray<T, nb::ndim<3>, nb::c_contig, nb::device::cpu>;

// What chroma follows luma by: the small planes, what became of luma, bicubic's phases, and what
// bnnup.pixels.chroma lays lines by.
struct Lead {
    Plane y, cb, cr, luma, down, across;
    Vector weights;
    std::pair<float, float> floors;
    bool damaged;

    Colors colors() const {
        Colors c;
        c.height = side(y.shape(0)), c.width = side(y.shape(1));
        c.factor = check_phases(down, across);
        for (int axis = 0; axis < 2; ++axis) {
            if (cb.shape(axis) != y.shape(axis) || cr.shape(axis) != y.shape(axis)
                || luma.shape(axis) != y.shape(axis) * c.factor) {
                throw std::invalid_argument("planes differ in shape");
            }
        }
        if (weights.size() % 2 == 0 || weights.size() > MAX_KERNEL) {
            throw std::invalid_argument("a window has an odd width, 5 at most");
        }
        c.y = y.data(), c.cb = cb.data(), c.cr = cr.data(), c.luma = luma.data();
        c.down = down.data(), c.across = across.data();
        c.weights = weights.data(), c.window = int(weights.size());
        c.floors = {floors.first, floors.second};
        c.damaged = damaged;
        return c;
    }
};

void follow(
    const Lead& lead, Result cb, Result cr, int threads, nb::callable go_on,
    const std::string& kernel) {
    const Colors colors = lead.colors();
    check_result(cb, colors.height, colors.width, colors.factor);
    check_result(cr, colors.height, colors.width, colors.factor);
    const Kernel& chosen = find_kernel(kernel);
    while_wanted(go_on, [&](Watch& watch) {
        follow_luma(chosen, colors, threads, cb.data(), cr.data(), watch);
    });
}

template <class T>
void merge(
    const Lead& lead, Vector factors, Pixels<T> result, int threads, nb::callable go_on,
    const std::string& kernel) {
    const Colors colors = lead.colors();
    if (result.shape(0) != lead.luma.shape(0) || result.shape(1) != lead.luma.shape(1)) {
        throw std::invalid_argument("planes and pixels differ in shape");
    }
    if (result.shape(2) < 3 || result.shape(2) > 4 || factors.size() != 4) {
        throw std::invalid_argument(
            "pixels have three or four samples, and there are four factors");
    }
    const Kernel& chosen = find_kernel(kernel);
    while_wanted(go_on, [&](Watch& watch) {
        merge_colors(
            chosen, colors, threads, factors.data(), int(result.shape(2)), result.data(), watch);
    });
}

template <class T>
void define_merge(nb::module_& m) {
    m.def(
        "merge", &merge<T>, nb::arg("lead"), nb::arg("factors").noconvert(),
        nb::arg("result").noconvert(), nb::arg("threads"), nb::arg("go_on"), nb::arg("kernel"));
}

}  // namespace

NB_MODULE(_native, m) {
    m.def("kernels", &kernels, "Kernels that this machine runs, the fastest first.");
    m.def(
        "spin",
        [](const std::string& kernel, long rounds) {
            const Kernel& k = find_kernel(kernel);
            const nb::gil_scoped_release release;
            k.spin(rounds, 0x123456789abcdef);
            return double(rounds) * k.products;
        },
        nb::arg("kernel"), nb::arg("rounds"),
        "Takes xor, popcount and sum of so many sign products, as fast as the CPU can.");
    m.def(
        "enlarge", &enlarge, nb::arg("plane").noconvert(), nb::arg("down").noconvert(),
        nb::arg("across").noconvert(), nb::arg("result").noconvert(), nb::arg("go_on"),
        nb::arg("kernel"));
    nb::class_<Lead>(m, "Lead", "What chroma follows luma by.")
        .def(
            nb::init<
                Plane, Plane, Plane, Plane, Plane, Plane, Vector, std::pair<float, float>, bool>(),
            nb::arg("y").noconvert(), nb::arg("cb").noconvert(), nb::arg("cr").noconvert(),
            nb::arg("luma").noconvert(), nb::arg("down").noconvert(), nb::arg("across").noconvert(),
            nb::arg("weights").noconvert(), nb::arg("floors"), nb::arg("damaged"));
    m.def(
        "follow", &follow, nb::arg("lead"), nb::arg("cb").noconvert(), nb::arg("cr").noconvert(),
        nb::arg("threads"), nb::arg("go_on"), nb::arg("kernel"));
    define_merge<uint8_t>(m);
    define_merge<uint16_t>(m);
    define_merge<float>(m);

    nb::class_<Network>(m, "Network")
        .def(nb::init<int, std::string>(), nb::arg("scale"), nb::arg("kernel"))
        .def_prop_ro("kernel", [](const Network& n) { return n.kernel().name; })
        .def(
            "convolution",
            [](Network& n, int input, int channels, int kernel, Vector weight, Vector bias) {
                return n.convolution(input, channels, kernel, span(weight), span(bias));
            },
            nb::arg("input"), nb::arg("channels"), nb::arg("kernel"), nb::arg("weight").noconvert(),
            nb::arg("bias").noconvert())
        .def(
            "quantized_convolution",
            [](Network& n, int input, int channels, int kernel, Array<int16_t, 1> weight,
               Vector levels, Vector scale, Vector bias) {
                return n.quantized_convolution(
                    input, channels, kernel, span(weight), span(levels), span(scale), span(bias));
            },
            nb::arg("input"), nb::arg("channels"), nb::arg("kernel"), nb::arg("weight").noconvert(),
            nb::arg("levels").noconvert(), nb::arg("scale").noconvert(),
            nb::arg("bias").noconvert())
        .def(
            "binary_convolution",
            [](Network& n, int input, int channels, int kernel, const std::string& skip,
               const std::string& activation, Array<uint8_t, 1> weight, Vector scale, Vector shift,
               Vector slope, Vector offset) {
                return n.binary_convolution(
                    input, channels, kernel, skip, activation, span(weight), span(scale),
                    span(shift), span(slope), span(offset));
            },
            nb::arg("input"), nb::arg("channels"), nb::arg("kernel"), nb::arg("skip"),
            nb::arg("activation"), nb::arg("weight").noconvert(), nb::arg("scale").noconvert(),
            nb::arg("shift").noconvert(), nb::arg("slope").noconvert(),
            nb::arg("offset").noconvert())
        .def("add", &Network::add, nb::arg("left"), nb::arg("right"))
        .def("concatenate", &Network::concatenate, nb::arg("parts"))
        .def("pixel_shuffle", &Network::pixel_shuffle, nb::arg("input"), nb::arg("factor"))
        .def(
            "bicubic",
            [](Network& n, int input, int factor, Vector phases) {
                return n.bicubic(input, factor, span(phases));
            },
            nb::arg("input"), nb::arg("factor"), nb::arg("phases").noconvert())
        .def(
            "channel_attention",
            [](Network& n, int input, int squeeze, int window, Vector down, Vector down_bias,
               Vector up, Vector up_bias) {
                return n.channel_attention(
                    input, squeeze, window, span(down), span(down_bias), span(up), span(up_bias));
            },
            nb::arg("input"), nb::arg("squeeze"), nb::arg("window"), nb::arg("down").noconvert(),
            nb::arg("down_bias").noconvert(), nb::arg("up").noconvert(),
            nb::arg("up_bias").noconvert());

    nb::class_<Runner>(m, "Runner", "A finished network; safe to run from several threads.")
        .def(
            "__init__",
            [](Runner* self, Network& network) {
                network.finish();
                new (self) Runner(std::move(network));
            },
            nb::arg("network"), "Takes all that the network holds, and leaves it finished.")
        .def(
            "run",
            [](Runner& runner, Plane luma, Result result, int threads, nb::callable go_on) {
                const int height = side(luma.shape(0)), width = side(luma.shape(1));
                check_result(result, height, width, runner.network().scale());
                std::vector<double> seconds(runner.network().operations().size());
                while_wanted(go_on, [&](Watch& watch) {
                    runner.run(
                        luma.data(), height, width, result.data(), threads, watch, seconds.data());
                });
                return seconds;
            },
            nb::arg("luma").noconvert(), nb::arg("result").noconvert(), nb::arg("threads"),
            nb::arg("go_on"),
            "Fills result; returns the seconds that each value took, the input's first.")
        .def(
            "memory",
            [](const Runner& runner, size_t height, size_t width, int threads) {
                return runner.memory(side(height), side(width), threads);
            },
            nb::arg("height"), nb::arg("width"), nb::arg("threads"));
}

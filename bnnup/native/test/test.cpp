// Every kernel of this machine against the portable one, bit for bit, and hostile
// descriptions. Needs no Python, so that it also runs under sanitizers and emulation.
// Prints a checksum of all results: it must be the same on every kind of CPU.

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <deque>
#include <functional>
#include <limits>
#include <stdexcept>

#if defined(__linux__)
#include <sys/mman.h>
#include <unistd.h>
#endif

#include "colors.h"
#include "run.h"

using namespace bnnup;

namespace {

int failures = 0;

void expect(bool holds, const std::string& what) {
    if (holds) return;
    std::fprintf(stderr, "FAILED: %s\n", what.c_str());
    ++failures;
}

// SplitMix64 (Steele, Lea, Flood, OOPSLA 2014): the same numbers everywhere.
struct Random {
    uint64_t state;

    uint64_t word() {
        uint64_t z = state += 0x9e3779b97f4a7c15;
        z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
        z = (z ^ z >> 27) * 0x94d049bb133111eb;
        return z ^ z >> 31;
    }
    float number() { return float(int64_t(word()) >> 40) / float(1 << 22); }  // [-2, 2)
    int below(int n) { return int(word() % uint64_t(n)); }
    std::vector<float> numbers(size_t n, float scale = 1) {
        std::vector<float> made(n);
        for (float& x : made) x = number() * scale;
        return made;
    }
    std::vector<uint8_t> signs(int out, int kernel, int in) {
        std::vector<uint8_t> made(size_t(out) * kernel * kernel * divide_up(in, 8));
        for (size_t i = 0; i < made.size(); ++i) {
            made[i] = uint8_t(word());
            if (in % 8 && (i + 1) % divide_up(in, 8) == 0) made[i] &= (1 << in % 8) - 1;
        }
        return made;
    }
};

Floats span(const std::vector<float>& numbers) { return {numbers.data(), numbers.size()}; }
Bytes span(const std::vector<uint8_t>& bytes) { return {bytes.data(), bytes.size()}; }

// Draws numbers in a fixed order: that of a call's arguments is the compiler's choice.
int add_binary(
    Network& network, Random& random, int input, int in, int out, int kernel,
    const std::string& skip, const std::string& activation) {
    const bool bends = activation == "rprelu";
    const auto weight = random.signs(out, kernel, in);
    const auto scale = random.numbers(out, 0.2f), shift = random.numbers(out);
    const auto slope = random.numbers(bends ? out : 0), offset = random.numbers(bends ? out : 0);
    return network.binary_convolution(
        input, out, kernel, skip, activation, span(weight), span(scale), span(shift), span(slope),
        span(offset));
}

int add_full(Network& network, Random& random, int input, int in, int out, int kernel) {
    const auto weight = random.numbers(size_t(out) * in * kernel * kernel, 0.3f);
    const auto bias = random.numbers(out);
    return network.convolution(input, out, kernel, span(weight), span(bias));
}

// Inputs are clamped now and then.
int add_quantized(Network& network, Random& random, int input, int in, int out, int kernel) {
    const int count = in * kernel * kernel, largest = std::min(LARGEST_SUM / count, LARGEST_WEIGHT);
    std::vector<int16_t> weight(size_t(out) * count);
    for (int16_t& number : weight) number = int16_t(random.below(2 * largest + 1) - largest);
    const auto levels = random.numbers(in, 8000), scale = random.numbers(out, 1e-7f);
    const auto bias = random.numbers(out);
    return network.quantized_convolution(
        input, out, kernel, {weight.data(), weight.size()}, span(levels), span(scale), span(bias));
}

int add_attention(Network& network, Random& random, int input, int channels) {
    const int squeeze = 3, window = 5;
    const auto down = random.numbers(size_t(squeeze) * channels), bias = random.numbers(squeeze);
    const auto up = random.numbers(size_t(squeeze) * channels), gate = random.numbers(channels);
    return network.channel_attention(
        input, squeeze, window, span(down), span(bias), span(up), span(gate));
}

// Every operation once, around two binary convolutions.
Network make_network(
    const std::string& kernel, int before, int after, int size, const std::string& skip,
    const std::string& activation) {
    Random random{uint64_t(before * 1000 + after * 10 + size)};
    Network network(2, kernel);
    const int head = add_full(network, random, 0, 1, before, 3);
    const int body = add_binary(network, random, head, before, after, size, skip, activation);
    const int again = add_binary(network, random, body, after, after, 3, "identity", activation);
    const int rounded = add_quantized(network, random, again, after, after, size);
    const int sum = network.add(body, rounded);
    const int weighed = add_attention(network, random, sum, after);
    const int both = network.concatenate({head, weighed});
    const int tail = add_full(network, random, both, before + after, 4, 3);
    const int shuffled = network.pixel_shuffle(tail, 2);
    const int enlarged = network.bicubic(0, 2, span(random.numbers(2 * BICUBIC_TAPS)));
    network.add(enlarged, shuffled);
    network.finish();
    return network;
}

uint64_t checksum = 0xcbf29ce484222325;  // FNV-1a
Watch watch;                             // over what is wanted

void count(const std::vector<float>& numbers) {
    for (float number : numbers) {
        uint32_t bits;
        std::memcpy(&bits, &number, 4);
        checksum = (checksum ^ bits) * 0x100000001b3;
    }
}

void test_kernels_agree(
    int before, int after, int size, const std::string& skip, const std::string& activation,
    int height, int width) {
    Random random{7};
    const std::vector<float> luma = random.numbers(size_t(height) * width);
    std::vector<float> expected(luma.size() * 4);
    Runner portable(make_network("portable", before, after, size, skip, activation));
    portable.run(luma.data(), height, width, expected.data(), 1, watch);
    count(expected);
    for (const std::string& kernel : kernels()) {
        Runner runner(make_network(kernel, before, after, size, skip, activation));
        for (int threads : {1, 3}) {
            std::vector<float> result(expected.size());
            runner.run(luma.data(), height, width, result.data(), threads, watch);
            expect(
                std::memcmp(result.data(), expected.data(), result.size() * 4) == 0,
                kernel + " differs: " + std::to_string(before) + " to " + std::to_string(after)
                    + " channels, kernel " + std::to_string(size) + ", " + skip + ", " + activation
                    + ", width " + std::to_string(width));
        }
    }
}

void test_all_kernels() {
    expect(!kernels().empty() && kernels().back() == "portable", "portable is missing");
    // Around a byte, a vector, a word, two words.
    for (int before : {1, 8, 15, 16, 17, 32, 33, 63, 64, 65, 96, 129}) {
        test_kernels_agree(before, before, 3, "identity", "rprelu", 4, 21);
    }
    for (int after : {1, 15, 17, 64, 130}) {
        test_kernels_agree(7, after, 3, "none", "none", 3, 9);
    }
    for (int width : {1, 3, 11, 12, 13, 16, 17, 32, 33, 63, 64, 65, 130}) {
        test_kernels_agree(40, 20, 3, "average", "rprelu", 3, width);
    }
    test_kernels_agree(64, 64, 3, "identity", "rprelu", 12, 700);  // blocks of columns
    test_kernels_agree(64, 64, 3, "identity", "rprelu", 70, 90);   // bands that take turns
    for (int size : {1, 3, 5}) {
        test_kernels_agree(100, 50, size, "average", "none", 7, 10);
        test_kernels_agree(576, 64, size, "average", "rprelu", 3, 5);
    }
}

// A product and a sum, rounded once: where products end just beside the middle between two
// floats, and where results are too small to be normal.
void test_rounding() {
    Random random{5};
    const auto number = [&](int exponent, int bits) {
        const int64_t odd = int64_t(random.word() >> 1 >> (63 - bits)) | int64_t(1) << bits | 1;
        return std::ldexp(float(random.below(2) ? odd : -odd), exponent - bits);
    };
    for (int round = 0; round < 400; ++round) {
        const int smallest = round % 4 ? -30 : -140;
        const std::vector<float> weight{number(random.below(8), 1 + random.below(23))};
        const std::vector<float> bias{number(smallest + 24 + random.below(8), random.below(24))};
        std::vector<float> luma(64), result(64);
        for (float& x : luma) x = number(smallest + random.below(8), 1 + random.below(23));
        luma[0] = (1 + 0x1p-20f) * 0x1p-24f;  // times 1 - 2^-20, a hair less than 2^-24
        const bool close = round == 0;
        const std::vector<float> w{close ? 1 - 0x1p-20f : weight[0]};
        const std::vector<float> b{close ? 1 + 0x1p-23f : bias[0]};
        for (const std::string& kernel : kernels()) {
            Network network(1, kernel);
            network.convolution(0, 1, 1, span(w), span(b));
            network.finish();
            Runner(network).run(luma.data(), 8, 8, result.data(), 1, watch);
            for (int i = 0; i < 64; ++i) {
                const float expected = std::fma(luma[i], w[0], b[0]);
                expect(std::memcmp(&result[i], &expected, 4) == 0, kernel + " rounds twice");
            }
        }
    }
}

// Numbers next to a page that nothing may touch. Sanitizers keep the compiler from vectors of its
// own, and so from those that read too far.
template <class T>
class Fenced {
public:
    Fenced(size_t count, bool behind) {
#if defined(__linux__)
        const size_t page = sysconf(_SC_PAGESIZE), bytes = round_up(count * sizeof(T), page);
        size_ = bytes + 2 * page;
        void* const all = mmap(nullptr, size_, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (all == MAP_FAILED) throw std::bad_alloc();
        memory_ = static_cast<char*>(all);
        if (bytes && mprotect(memory_ + page, bytes, PROT_READ | PROT_WRITE))
            throw std::bad_alloc();
        data_ = reinterpret_cast<T*>(memory_ + page + (behind ? bytes - count * sizeof(T) : 0));
#else
        (void)behind;
        numbers_.resize(count);
        data_ = numbers_.data();
#endif
    }
    Fenced(const Fenced&) = delete;
    Fenced& operator=(const Fenced&) = delete;
#if defined(__linux__)
    ~Fenced() { munmap(memory_, size_); }
#endif

    T* data() const { return data_; }

private:
    T* data_;
#if defined(__linux__)
    char* memory_;
    size_t size_;
#else
    std::vector<T> numbers_;
#endif
};

// A quantized convolution of a row, or of two with a kernel of 3, whose inputs are alike in no two
// channels.
struct Quantized {
    int in, out, kernel, width, height;
    std::vector<int16_t> weight;
    std::vector<float> levels, scale, bias;
    std::vector<std::vector<float>> rows;  // all that it reads

    int half() const { return kernel / 2; }

    // Numbers of every kind, or many that are clamped to one side.
    Quantized(Random& random, int kernel)
        : in(1 + random.below(70)),
          out(1 + random.below(70)),
          kernel(kernel),
          width(1 + random.below(40)),
          height(kernel == 3 ? 1 + random.below(2) : 1),
          levels(random.numbers(in, random.below(2) ? 9000 : 1e-3f)),
          scale(random.numbers(out, 1e-7f)),
          bias(random.numbers(out)) {
        for (int o = 0; o < out; ++o) add_weights(random);
        levels[random.below(in)] = 3e38f;
        const float nan = std::numeric_limits<float>::quiet_NaN(), inf = HUGE_VALF;
        const float kinds[] = {1e30f, -1e30f, nan, inf, -inf, 0.0f, -0.0f, 1e-40f};
        const bool wild = random.below(2);
        for (int y = 0; y < height + 2 * half(); ++y) {
            rows.push_back(random.numbers(size_t(width + 2 * half()) * in));
            for (float& x : rows.back()) {
                if (wild && random.below(4)) x = kinds[random.below(random.below(2) ? 2 : 8)];
            }
            if (random.below(4) == 0) std::fill(rows[y].begin(), rows[y].end(), kinds[wild]);
        }
    }

    // Those of an output channel, which often add up to all that is allowed: a few that are as
    // large as can be, or many. Their signs are the same, alternate, or are any.
    void add_weights(Random& random) {
        const size_t begin = weight.size(), count = size_t(in) * kernel * kernel;
        weight.resize(begin + count);
        const int signs = random.below(4);
        const int largest = random.below(2) ? LARGEST_WEIGHT : LARGEST_SUM / int(count) + 1;
        int left = random.below(4) ? LARGEST_SUM : random.below(LARGEST_SUM);
        for (size_t tries = 0; tries < 2 * count && left > 0; ++tries) {
            const size_t i = random.below(int(count));
            if (weight[begin + i] != 0) continue;
            const int size = std::min({largest, left, LARGEST_WEIGHT});
            left -= size;
            const bool odd = signs == 2 ? i % 2 != 0 : signs == 3 ? random.below(2) : signs == 1;
            weight[begin + i] = int16_t(odd ? -size : size);
        }
    }

    int64_t input(int y, int x, int i) const {  // from row and column -half() on
        const float number = rows[y][size_t(x) * in + i] * levels[i];
        if (!(number > -LARGEST_INPUT)) return -LARGEST_INPUT;
        return number < LARGEST_INPUT ? int64_t(std::nearbyint(number)) : LARGEST_INPUT;
    }

    std::vector<float> expected() const {
        std::vector<float> made;
        for (int at = 0; at < height * width * out; ++at) {
            const int y = at / out / width, x = at / out % width, o = at % out;
            const int16_t* w = &weight[size_t(o) * in * kernel * kernel];
            int64_t sum = 0;
            for (int i = 0; i < in; ++i) {
                for (int tap = 0; tap < kernel * kernel; ++tap, ++w) {
                    if (*w) sum += *w * input(y + tap / kernel, x + tap % kernel, i);
                }
            }
            made.push_back(std::fma(float(sum), scale[o], bias[o]));
        }
        return made;
    }

    // behind: whether memory ends behind all rows, or begins with them.
    std::vector<float> result(const std::string& name, bool behind) const {
        Network network(1, name);
        const int channels = network.concatenate(std::vector<int>(in, 0));
        network.quantized_convolution(
            channels, out, kernel, {weight.data(), weight.size()}, span(levels), span(scale),
            span(bias));
        const QuantizedWeights& op = network.operations().back().quantized;
        std::deque<Fenced<int16_t>> integers;
        std::vector<const int16_t*> places;
        for (const std::vector<float>& numbers : rows) {
            const Fenced<float> row(numbers.size(), behind);
            std::copy(numbers.begin(), numbers.end(), row.data());
            int16_t* const place = integers.emplace_back(quantized_count(op, width), behind).data();
            network.kernel().quantize(op, row.data() + half() * in, width, place);
            places.push_back(place);
        }
        const Fenced<int16_t> scratch(quantized_scratch(op), behind);
        const Fenced<float> first(size_t(width) * out, behind), second(size_t(width) * out, behind);
        float* const made[] = {first.data(), second.data()};
        network.kernel().quantized_convolution(
            op, places.data(), width, height, scratch.data(), made);
        std::vector<float> all(made[0], made[0] + size_t(width) * out);
        if (height == 2) all.insert(all.end(), made[1], made[1] + size_t(width) * out);
        return all;
    }
};

// At the limits of inputs, weights and sums, in integers of 64 bits.
void test_integers() {
    Random random{13};
    for (int round = 0; round < 240; ++round) {
        const Quantized given(random, 1 + round % 3 * 2);
        const std::vector<float> expected = given.expected();
        count(expected);
        for (const std::string& kernel : kernels()) {
            const std::vector<float> made = given.result(kernel, round % 2);
            expect(
                std::memcmp(made.data(), expected.data(), made.size() * 4) == 0,
                kernel + " sums other integers: " + std::to_string(given.in) + " to "
                    + std::to_string(given.out) + " channels, kernel "
                    + std::to_string(given.kernel) + ", width " + std::to_string(given.width));
        }
    }
}

bool refused(const std::function<void()>& action) {
    try {
        action();
    } catch (const std::exception&) {
        return true;
    }
    return false;
}

// Chroma that follows luma, by every kernel, for any number of threads.
void test_colors() {
    Random random{9};
    const int height = 21, width = 37, factor = 2;
    const size_t small = size_t(height) * width, large = small * factor * factor;
    const std::vector<float> y = random.numbers(small), cb = random.numbers(small);
    const std::vector<float> cr = random.numbers(small), luma = random.numbers(large);
    const std::vector<float> phases = random.numbers(factor * BICUBIC_TAPS);
    const std::vector<float> narrow = {0.25f, 0.5f, 0.25f},
                             wide = {0.125f, 0.25f, 0.25f, 0.25f, 0.125f};
    const std::vector<float> factors = random.numbers(4);
    Colors colors;
    colors.y = y.data(), colors.cb = cb.data(), colors.cr = cr.data(), colors.luma = luma.data();
    colors.height = height, colors.width = width, colors.factor = factor;
    colors.down = colors.across = phases.data();
    colors.floors = {1e-4f, 1e-5f};
    for (const bool damaged : {false, true}) {
        colors.damaged = damaged;
        const std::vector<float>& weights = damaged ? wide : narrow;
        colors.weights = weights.data(), colors.window = int(weights.size());
        std::vector<float> expected;
        for (const std::string& name : kernels()) {
            for (const int threads : {1, 3, 50}) {
                std::vector<float> planes(2 * large), pixels(4 * large);
                const Kernel& kernel = find_kernel(name);
                follow_luma(kernel, colors, threads, planes.data(), planes.data() + large, watch);
                merge_colors(kernel, colors, threads, factors.data(), 4, pixels.data(), watch);
                planes.insert(planes.end(), pixels.begin(), pixels.end());
                if (expected.empty()) expected = planes;
                expect(planes == expected, "colors of " + name);
            }
        }
        count(expected);
    }
}

// Of a quantized convolution from channels as many as there are weights to one.
bool refuses_weights(const std::vector<int16_t>& weight) {
    return refused([&] {
        Network network(1, "");
        const int in = network.concatenate(std::vector<int>(weight.size(), 0));
        const std::vector<float> levels(weight.size(), 1.0f), one{1.0f};
        network.quantized_convolution(
            in, 1, 1, {weight.data(), weight.size()}, span(levels), span(one), span(one));
    });
}

// Calls with numbers that fit now and then; whatever is accepted must also run.
[[maybe_unused]] void test_hostile_descriptions() {
    const int interesting[] = {-1, 0, 1, 2, 3, 4, 5, 8, 9, 16, 63, 64, 4096, 4097, 1 << 30};
    const char* const names[] = {"none", "identity", "average", "rprelu", ""};
    Random random{3};
    int ran = 0;
    for (int round = 0; round < 3000; ++round) {
        Network network(1 + random.below(2), "");
        const auto pick = [&] {
            return random.below(2) ? random.below(6) : interesting[random.below(15)];
        };
        const auto numbers = [&] { return random.numbers(size_t(random.below(40))); };
        for (int i = 0; i < 6; ++i) {
            refused([&] {
                const auto a = numbers(), b = numbers(), c = numbers(), d = numbers();
                const auto signs = random.signs(1 + random.below(4), 1, 1 + random.below(20));
                const int x = pick(), y = pick(), z = pick();
                const std::string skip = names[random.below(5)], bend = names[random.below(5)];
                std::vector<int16_t> integers(random.below(40));
                for (int16_t& x : integers) x = int16_t(random.word() >> random.below(16));
                switch (random.below(8)) {
                    case 0:
                        network.convolution(x, y, z, span(a), span(b));
                        break;
                    case 1:
                        network.binary_convolution(
                            x, y, z, skip, bend, span(signs), span(a), span(b), span(c), span(d));
                        break;
                    case 2:
                        network.add(x, y);
                        break;
                    case 3:
                        network.concatenate({x, y, z});
                        break;
                    case 4:
                        network.pixel_shuffle(x, y);
                        break;
                    case 5:
                        network.bicubic(x, y, span(a));
                        break;
                    case 6:
                        network.channel_attention(x, y, z, span(a), span(b), span(c), span(d));
                        break;
                    case 7:
                        network.quantized_convolution(
                            x, y, z, {integers.data(), integers.size()}, span(a), span(b), span(c));
                        break;
                }
            });
        }
        refused([&] {
            network.finish();
            Runner runner(network);
            const std::vector<float> luma(12);
            std::vector<float> result(12 * size_t(network.scale() * network.scale()));
            runner.run(luma.data(), 3, 4, result.data(), 2, watch);
            ++ran;
        });
    }
    expect(ran > 0, "no description was accepted: the test tests nothing");
    Runner runner(make_network("", 64, 64, 3, "identity", "rprelu"));
    expect(refused([&] { runner.memory(0, 5, 1); }), "no rows");
    expect(refused([&] { runner.memory(1 << 21, 5, 1); }), "too many rows");
    expect(refused([&] { runner.memory(1 << 20, 1 << 20, 1); }), "too many pixels");
    expect(refused([&] { runner.memory(5, 5, 0); }), "no threads");
    for (const int16_t weight : {LARGEST_WEIGHT + 1, -LARGEST_WEIGHT - 1, 32767, -32768}) {
        expect(refuses_weights({weight}), "weights that are too large");
    }
    std::vector<int16_t> most(LARGEST_SUM / LARGEST_WEIGHT + 1, LARGEST_WEIGHT);
    most.back() = LARGEST_SUM % LARGEST_WEIGHT;
    expect(!refuses_weights(most), "weights as large as they may be are refused");
    most.back() = -most.back() - 1;
    expect(refuses_weights(most), "weights that are too large together");
    expect(refused([] { find_kernel("abacus"); }), "unknown kernel");
    expect(refused([] { Runner(Network(1, "")).memory(5, 5, 1); }), "an unfinished network");
    Network heavy(1, "");  // 6.5 MB an operation, of which its file has a sixteenth
    const std::vector<float> many(size_t(4096) * 25), one(1);
    const int wide = heavy.concatenate(std::vector<int>(4096, 0));
    expect(
        refused([&] {
            for (int i = 0; i < 200; ++i) heavy.convolution(wide, 1, 5, span(many), span(one));
        }),
        "weights without bounds");
}

}  // namespace

int main() {
    for (const std::string& kernel : kernels()) std::printf("%s ", kernel.c_str());
    test_all_kernels();
    test_rounding();
    test_integers();
    test_colors();
#if !defined(__wasi__)  // where nothing catches exceptions
    test_hostile_descriptions();
#endif
    std::printf("checksum %016llx\n", static_cast<unsigned long long>(checksum));
    return failures ? 1 : 0;
}

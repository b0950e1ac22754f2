#include "plan.h"

#include <algorithm>
#include <stdexcept>

#include "slots.h"

namespace bnnup {
namespace {

// Of the second-level cache, what the pixels in flight of one thread may fill. CPUs have
// 1 to 2 MB per core; weights and the operating system want some.
constexpr size_t CACHE = 3 << 19;

// Rows of a block that are to fit the cache, and pixels of a row of it, at least.
constexpr int ROWS = 16;
constexpr int COLUMNS = 64;

// Rows by which the last operation of a group may always follow the first one.
constexpr int FEW = 9;

int rows_ahead(const Network& network, const Read& read, int radius) {
    return divide_up(radius, network.operations()[read.value].factor);
}

int reach(const Network& network, const Read& read) {
    return rows_ahead(network, read, std::max(read.float_radius, read.sign_radius));
}

Shape shape_of_floats(const Value& v, int factor) {
    return {v.float_stride() * sizeof(float) * factor, factor};
}
Shape shape_of_signs(const Value& v, int factor) { return {v.sign_stride() * factor, factor}; }

// Columns and rows of the widest value that fit a thread's cache together.
struct InFlight {
    int columns, rows;
};

InFlight in_flight(const Network& network, const Plan& plan) {
    size_t widest = 1;  // bytes of a pixel
    for (size_t i = 0; i < plan.values.size(); ++i) {
        const Operation& operation = network.operations()[i];
        if (!operation.needed()) continue;
        const size_t area = size_t(operation.factor) * operation.factor;
        widest = std::max(widest, area * operation.channels * sizeof(float));
    }
    const size_t fitting = CACHE / (ROWS * widest) / COLUMNS * COLUMNS;
    const int columns = int(std::clamp<size_t>(fitting, COLUMNS, MAX_SIDE));
    const int width = std::min(columns, plan.width);
    return {columns, int(std::min<size_t>(CACHE / (widest * width), MAX_SIDE))};
}

// Attention sums up rows as a whole, unless it looks at one pixel only.
bool takes_blocks(const Operation& operation) {
    return operation.kind != Kind::channel_attention || operation.parameter == 1;
}

// By operation, bytes of a row of the input's height that it and those after it read of
// those before.
std::vector<size_t> bytes_alive(
    const Network& network, const Plan& plan, const std::vector<int>& last_read) {
    const auto& operations = network.operations();
    std::vector<size_t> alive(operations.size(), 0);
    for (size_t i = 0; i < operations.size(); ++i) {
        const Operation& operation = operations[i];
        const Value& value = plan.values[i];
        size_t bytes = 0;
        if (operation.needs_floats) bytes += shape_of_floats(value, operation.factor).row;
        if (operation.needs_signs) bytes += shape_of_signs(value, operation.factor).row;
        for (int reader = int(i) + 1; reader <= last_read[i]; ++reader) alive[reader] += bytes;
    }
    return alive;
}

// Groups whose rows in flight, those of a band and those between first and last operation,
// fit the cache, or are few. One ends where the least is to be kept for those that follow.
std::vector<Place> group_operations(
    const Network& network, const Plan& plan, const std::vector<int>& last_read) {
    const auto& operations = network.operations();
    const std::vector<size_t> alive = bytes_alive(network, plan, last_read);
    const int max_lag = std::max(in_flight(network, plan).rows - BAND, FEW);
    std::vector<Place> places(operations.size());
    int group = 0;
    size_t first = 0;
    for (size_t i = 0; i < operations.size(); ++i) {
        if (!operations[i].needed()) continue;
        int lag = 0;
        for (const Read& read : operations[i].reads) {
            const Place& from = places[read.value];
            if (from.group == group) lag = std::max(lag, from.lag + reach(network, read));
        }
        places[i] = {group, lag};
        if (lag <= max_lag || i == first) continue;
        size_t end = i;
        for (size_t cut = i; cut > first; --cut) {
            if (operations[cut].needed() && alive[cut] < alive[end]) end = cut;
        }
        std::fill(places.begin() + ptrdiff_t(end), places.end(), Place());
        ++group;
        first = end;
        i = end - 1;
    }
    return places;
}

// Bands are as high as the cache allows; blocks, if a row is not to be one, take what fits.
std::vector<Sweep> make_sweeps(
    const Network& network, const std::vector<Place>& places, const Plan& plan) {
    const InFlight fitting = in_flight(network, plan);
    std::vector<Sweep> sweeps;
    for (size_t i = 0; i < places.size(); ++i) {
        if (places[i].group < 0) continue;
        if (size_t(places[i].group) == sweeps.size()) sweeps.emplace_back();
        sweeps.back().operations.push_back(int(i));
    }
    for (Sweep& sweep : sweeps) {
        int lag = 0;
        bool whole = plan.width < fitting.columns * 3 / 2;
        for (int operation : sweep.operations) {
            lag = std::max(lag, places[operation].lag);
            whole |= !takes_blocks(network.operations()[operation]);
        }
        sweep.height = std::max((fitting.rows - lag) / BAND, 1) * BAND;
        sweep.bands = divide_up(plan.height + lag, sweep.height);
        sweep.width = whole ? plan.width + lag : fitting.columns;
        sweep.blocks = divide_up(plan.width + lag, sweep.width);
    }
    return sweeps;
}

size_t scratch_bytes(const Network& network, const Operation& operation, const Value& value) {
    const size_t row = size_t(value.width) * value.channels * sizeof(float);
    switch (operation.kind) {
        case Kind::quantized_convolution:
            return sizeof(int16_t)
                * (operation.quantized.rows_read()
                       * quantized_count(operation.quantized, value.width)
                   + quantized_scratch(operation.quantized));
        case Kind::binary_convolution:
            return network.kernel().binary_scratch(operation.binary);
        case Kind::bicubic:
            return 2 * row / operation.parameter
                + size_t(BICUBIC_TAPS - 1) * value.channels * sizeof(float);
        case Kind::channel_attention:
            return 3 * row + size_t(operation.parameter) * value.channels * sizeof(float)
                + size_t(value.width) * operation.full.out * sizeof(float) + 4 * CACHE_LINE;
        default:
            return 0;
    }
}

// Values without places, and the scratch that their operations want.
void describe_values(const Network& network, Plan& plan) {
    for (const Operation& operation : network.operations()) {
        Value value;
        value.channels = operation.channels;
        value.height = plan.height * operation.factor;
        value.width = plan.width * operation.factor;
        value.float_rows = value.height;
        value.layout = network.kernel().sign_layout(operation.channels);
        value.border = &operation == &network.operations().back() ? 0 : BORDER;
        plan.values.push_back(value);
        if (!operation.needed()) continue;
        const double row = double(value.width + 2 * value.border) * value.channels;
        check_bytes(row * value.height * sizeof(float));
        plan.scratch = std::max(plan.scratch, scratch_bytes(network, operation, value));
    }
    plan.scratch = round_up(plan.scratch, CACHE_LINE);
    check_bytes(double(plan.scratch) * plan.threads);
}

// By value, the last operation that reads it; -1 if none does.
std::vector<int> last_reads(const Network& network) {
    const auto& operations = network.operations();
    std::vector<int> last(operations.size(), -1);
    for (size_t i = 0; i < operations.size(); ++i) {
        if (!operations[i].needed()) continue;
        for (const Read& read : operations[i].reads) last[read.value] = int(i);
    }
    return last;
}

// Finds slots for all values but the result, in the order of the operations.
void fill_slots(
    const Network& network, const Plan& plan, const std::vector<int>& last_read, Slots& floats,
    Slots& signs) {
    const auto& operations = network.operations();
    for (size_t i = 0; i < operations.size(); ++i) {
        const Operation& operation = operations[i];
        const int at = int(i);
        if (!operation.needed()) continue;
        for (const Read& read : operation.reads) {
            if (read.floats) {
                floats.note_read(at, read.value, rows_ahead(network, read, read.float_radius));
            }
            if (read.signs) {
                signs.note_read(at, read.value, rows_ahead(network, read, read.sign_radius));
            }
        }
        const Value& value = plan.values[i];
        if (operation.needs_floats && i + 1 != operations.size()) {
            floats.place(at, shape_of_floats(value, operation.factor), last_read[i]);
        }
        if (operation.needs_signs) {
            signs.place(at, shape_of_signs(value, operation.factor), last_read[i]);
        }
    }
}

// Bytes that kernels may read past the signs of a value.
size_t slack_of(const Plan& plan) {
    int widest = 0;
    for (const Value& value : plan.values) widest = std::max(widest, value.layout.bytes);
    return size_t(LANES) * widest + CACHE_LINE;
}

// Slots that have all rows come first; behind them those of every sweep begin anew.
void lay_out(const Plan& plan, Slots& floats, Slots& signs, size_t& bytes) {
    std::vector<int> in_work;
    for (const Sweep& sweep : plan.sweeps) {
        in_work.push_back(std::min(plan.bands, sweep.bands) * sweep.height);
    }
    const size_t slack = slack_of(plan);
    floats.lay_out_whole(plan.height, 0, bytes);
    signs.lay_out_whole(plan.height, slack, bytes);
    std::vector<size_t> ends(plan.sweeps.size(), bytes);
    floats.lay_out_parts(plan.height, in_work, 0, ends);
    signs.lay_out_parts(plan.height, in_work, slack, ends);
    for (size_t end : ends) bytes = std::max(bytes, end);
}

void place_values(const Network& network, const Slots& floats, const Slots& signs, Plan& plan) {
    const auto& operations = network.operations();
    plan.float_offset.resize(operations.size());
    plan.sign_offset.resize(operations.size());
    for (size_t i = 0; i < operations.size(); ++i) {
        if (const Slots::Slot* slot = floats.find(int(i))) {
            plan.values[i].float_rows = slot->rows * operations[i].factor;
            plan.float_offset[i] = slot->begin;
        }
        if (const Slots::Slot* slot = signs.find(int(i))) {
            plan.values[i].sign_rows = slot->rows * operations[i].factor;
            plan.sign_offset[i] = slot->begin;
        }
    }
}

}  // namespace

Plan make_plan(const Network& network, int height, int width, int threads) {
    if (!network.finished()) throw std::invalid_argument("the network is not finished");
    if (height < 1 || width < 1 || height > MAX_SIDE || width > MAX_SIDE) {
        throw std::length_error("a picture has 1 to 2^20 pixels a side");
    }
    Plan plan;
    plan.height = height;
    plan.width = width;
    plan.threads = std::min(threads, divide_up(height, BAND));
    plan.bands = plan.threads == 1 ? 1 : 2 * plan.threads;
    describe_values(network, plan);
    const std::vector<int> last_read = last_reads(network);
    const std::vector<Place> places = group_operations(network, plan, last_read);
    for (const Place& place : places) plan.lags.push_back(place.lag);
    plan.sweeps = make_sweeps(network, places, plan);
    Slots floats(network, places, true), signs(network, places, false);
    fill_slots(network, plan, last_read, floats, signs);
    lay_out(plan, floats, signs, plan.bytes);
    place_values(network, floats, signs, plan);
    plan.bytes += plan.scratch * plan.threads;
    return plan;
}

}  // namespace bnnup

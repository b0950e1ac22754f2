#include "plan.h"

#include <algorithm>
#include <stdexcept>

namespace bnnup {
namespace {

constexpr int MAX_SIDE = 1 << 20;
constexpr double MAX_BYTES = 1ull << 46;

// Of the second-level cache, what the pixels in flight of one thread may fill. CPUs have
// 1 to 2 MB per core; weights and the operating system want some.
constexpr size_t CACHE = 3 << 19;

// Rows of a block that are to fit the cache, and pixels of a row of it, at least.
constexpr int ROWS = 16;
constexpr int COLUMNS = 64;

// How far an operation follows the first one of its group, in rows and columns of the input.
struct Place {
    int group = -1;
    int lag = 0;
};

int rows_ahead(const Network& network, const Read& read, int radius) {
    return divide_up(radius, network.operations()[read.value].factor);
}

int reach(const Network& network, const Read& read) {
    return rows_ahead(network, read, std::max(read.float_radius, read.sign_radius));
}

bool works_in_place(const Operation& operation) {
    return operation.kind == Kind::activation || operation.kind == Kind::add
        || (operation.kind == Kind::binary_convolution && operation.binary.skip == Skip::identity);
}

// Memory that values share one after another: all floats, or all signs.
class Slots {
public:
    Slots(const Network& network, const std::vector<Place>& places, bool in_place)
        : network_(network), places_(places), in_place_(in_place), slot_of_(places.size(), -1) {}

    // A slot for the value of `operation`; row_bytes: of one row of the input's height.
    void place(int operation, size_t bytes, size_t row_bytes, int last_read) {
        const int slot = choose(operation, bytes, row_bytes);
        Slot& s = slots_[slot];
        s.bytes = std::max(s.bytes, bytes);
        s.last_read = last_read;
        s.uses.push_back({operation, 0, row_bytes});
        slot_of_[operation] = slot;
    }

    void note_read(int operation, int value, int ahead) {
        if (slot_of_[value] < 0) return;
        Slot& s = slots_[slot_of_[value]];
        s.uses.push_back({operation, ahead, s.uses.back().row_bytes});
    }

    // Offsets by value from `start` on; returns where they end.
    size_t lay_out(size_t start, std::vector<size_t>& offsets) const {
        std::vector<size_t> begin;
        for (const Slot& s : slots_) {
            begin.push_back(start);
            start += round_up(s.bytes, CACHE_LINE);
        }
        for (size_t i = 0; i < slot_of_.size(); ++i) {
            if (slot_of_[i] >= 0) offsets[i] = begin[slot_of_[i]];
        }
        return start;
    }

private:
    struct Use {
        int operation;
        int ahead;  // rows of the input's height that a reader looks ahead and back
        size_t row_bytes;
    };
    struct Slot {
        size_t bytes = 0;
        int last_read = -1;
        std::vector<Use> uses;
    };

    int choose(int operation, size_t bytes, size_t row_bytes) {
        int best = -1;
        for (int i = 0; i < int(slots_.size()); ++i) {
            if (!is_free(slots_[i], operation, row_bytes)) continue;
            if (best < 0 || fits_better(slots_[i].bytes, slots_[best].bytes, bytes)) best = i;
        }
        if (best < 0) {
            slots_.emplace_back();
            best = int(slots_.size()) - 1;
        }
        return best;
    }

    // The smallest that is large enough; otherwise the largest.
    static bool fits_better(size_t a, size_t b, size_t bytes) {
        if ((a >= bytes) != (b >= bytes)) return a >= bytes;
        return a >= bytes ? a < b : a > b;
    }

    // Inside a group all operations are at work together. One may overwrite a row when it
    // follows every earlier user far enough, and when both lay their rows out alike. An
    // operation's own reads pass when it works in place.
    bool is_free(const Slot& slot, int operation, size_t row_bytes) const {
        if (slot.last_read > operation) return false;
        for (const Use& use : slot.uses) {
            if (use.operation == operation) {
                if (!in_place_ || !works_in_place(network_.operations()[operation])) return false;
                if (use.ahead || use.row_bytes != row_bytes) return false;
                continue;
            }
            if (places_[use.operation].group != places_[operation].group) continue;
            if (use.row_bytes != row_bytes) return false;
            if (places_[operation].lag < places_[use.operation].lag + use.ahead) return false;
        }
        return slot.last_read < operation || has_read(slot, operation);
    }

    static bool has_read(const Slot& slot, int operation) {
        return std::any_of(slot.uses.begin(), slot.uses.end(), [&](const Use& use) {
            return use.operation == operation;
        });
    }

    const Network& network_;
    const std::vector<Place>& places_;
    const bool in_place_;  // may a value take the place of one that makes it?
    std::vector<int> slot_of_;
    std::vector<Slot> slots_;
};

size_t bytes_of_floats(const Value& v) { return v.height * v.float_stride() * sizeof(float); }
size_t bytes_of_signs(const Value& v) {
    return v.height * v.sign_stride() + size_t(LANES) * v.layout.bytes + CACHE_LINE;
}

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

// Groups whose rows in flight, those of a band and those between first and last operation,
// fit the cache; an operation that does not fit with the ones before begins a new group.
std::vector<Place> group_operations(const Network& network, const Plan& plan) {
    const auto& operations = network.operations();
    const int max_lag = in_flight(network, plan).rows - BAND;
    std::vector<Place> places(operations.size());
    int group = 0, members = 0;
    for (size_t i = 0; i < operations.size(); ++i) {
        if (!operations[i].needed()) continue;
        int lag = 0;
        for (const Read& read : operations[i].reads) {
            const Place& from = places[read.value];
            if (from.group == group) lag = std::max(lag, from.lag + reach(network, read));
        }
        if (members > 0 && lag > max_lag) {
            ++group;
            members = 0;
            lag = 0;
        }
        places[i] = {group, lag};
        ++members;
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
        case Kind::binary_convolution:
            return network.kernel().binary_scratch(operation.binary);
        case Kind::bicubic:
            return 2 * row / operation.parameter
                + size_t(BICUBIC_TAPS - 1) * value.channels * sizeof(float);
        case Kind::channel_attention:
            return 3 * row + size_t(operation.parameter) * value.channels * sizeof(float)
                + size_t(value.width) * operation.full.out * sizeof(float) + 4 * CACHE_LINE;
        default: return 0;
    }
}

}  // namespace

Plan make_plan(const Network& network, int height, int width, int threads) {
    if (height < 1 || width < 1 || height > MAX_SIDE || width > MAX_SIDE) {
        throw std::length_error("a picture has 1 to 2^20 pixels a side");
    }
    const auto& operations = network.operations();
    Plan plan;
    plan.height = height;
    plan.width = width;
    plan.threads = std::min(threads, divide_up(height, BAND));
    std::vector<int> last_read(operations.size(), -1);
    double total = 0;
    for (size_t i = 0; i < operations.size(); ++i) {
        const Operation& operation = operations[i];
        Value value;
        value.channels = operation.channels;
        value.height = height * operation.factor;
        value.width = width * operation.factor;
        value.layout = network.kernel().sign_layout(operation.channels);
        value.border = i + 1 == operations.size() ? 0 : BORDER;
        plan.values.push_back(value);
        if (!operation.needed()) continue;
        total += double(value.height) * value.float_stride() * sizeof(float);
        plan.scratch = std::max(plan.scratch, scratch_bytes(network, operation, value));
        for (const Read& read : operation.reads) last_read[read.value] = int(i);
    }
    if (total > MAX_BYTES) throw std::length_error("the picture is too large for this network");

    const std::vector<Place> places = group_operations(network, plan);
    Slots floats(network, places, true), signs(network, places, false);
    for (size_t i = 0; i < operations.size(); ++i) {
        const Operation& operation = operations[i];
        if (!operation.needed()) continue;
        for (const Read& read : operation.reads) {
            const int at = int(i);
            if (read.floats) {
                floats.note_read(at, read.value, rows_ahead(network, read, read.float_radius));
            }
            if (read.signs) {
                signs.note_read(at, read.value, rows_ahead(network, read, read.sign_radius));
            }
        }
        const Value& value = plan.values[i];
        const bool is_result = i + 1 == operations.size();
        if (operation.needs_floats && !is_result) {
            const size_t bytes = bytes_of_floats(value);
            floats.place(
                int(i), bytes, value.float_stride() * sizeof(float) * operation.factor, last_read[i]);
        }
        if (operation.needs_signs) {
            const size_t bytes = bytes_of_signs(value);
            signs.place(int(i), bytes, value.sign_stride() * operation.factor, last_read[i]);
        }
    }
    plan.float_offset.resize(operations.size());
    plan.sign_offset.resize(operations.size());
    plan.bytes = floats.lay_out(0, plan.float_offset);
    plan.bytes = signs.lay_out(plan.bytes, plan.sign_offset);
    plan.scratch = round_up(plan.scratch, CACHE_LINE);
    plan.bytes += plan.scratch * plan.threads;
    for (const Place& place : places) plan.lags.push_back(place.lag);
    plan.sweeps = make_sweeps(network, places, plan);
    return plan;
}

}  // namespace bnnup

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

// Rows by which the last operation of a group may always follow the first one.
constexpr int FEW = 9;

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
           || (operation.kind == Kind::binary_convolution
               && operation.binary.skip == Skip::identity);
}

// How a value, its floats or its signs, lies in memory.
struct Shape {
    size_t row = 0;  // bytes, of a row of the input's height
    int factor = 1;

    bool operator==(const Shape& other) const { return row == other.row && factor == other.factor; }
};

// Memory that values share one after another: all floats, or all signs. A slot has all rows
// of a picture; or, if nothing outside a group uses it, those in flight.
//
// A chain of four binary convolutions, 3×3, in one group. Every value lives from the row that
// makes it to the last row that reads it, one row below; its skip reads the same row, so the
// sum may take its place:
//
//     operation        1      2      3      4
//     floats, slot 0   make   1->2   2->3   3->4     all in place: one slot for four values
//     signs, slot 0    make   read   make   read     two slots take turns, each with the rows
//     signs, slot 1           make   read   make     in flight: those of the bands in work,
//                                                    and one above and below
//
// If a value is read again by an operation of a later group, its slot has all rows instead.
class Slots {
public:
    struct Slot {
        int rows = 0;  // of the input's height
        size_t begin = 0;
    };

    Slots(const Network& network, const std::vector<Place>& places, bool in_place)
        : network_(network), places_(places), in_place_(in_place), slot_of_(places.size(), -1) {}

    // A slot for the value of `operation`.
    void place(int operation, Shape shape, int last_read) {
        const int group = places_[operation].group;
        const int slot = choose(operation, shape, places_[last_read].group == group ? group : ALL);
        Shared& s = slots_[slot];
        s.row = std::max(s.row, shape.row);
        s.last_read = last_read;
        s.uses.push_back({operation, 0, shape});
        slot_of_[operation] = slot;
    }

    void note_read(int operation, int value, int ahead) {
        if (slot_of_[value] < 0) return;
        Shared& s = slots_[slot_of_[value]];
        s.uses.push_back({operation, ahead, s.uses.back().shape});
    }

    // Puts slots with all rows behind `end`, and moves it. slack: bytes behind each.
    void lay_out_whole(int height, size_t slack, size_t& end) {
        for (Shared& s : slots_) {
            if (s.group == ALL) put(s, height, slack, end);
        }
    }

    // The same for the others, by group. in_work: rows of the bands that are in work.
    void lay_out_parts(
        int height, const std::vector<int>& in_work, size_t slack, std::vector<size_t>& ends) {
        for (Shared& s : slots_) {
            if (s.group == ALL) continue;
            put(s, std::min(in_work[s.group] + reach_of(s), height), slack, ends[s.group]);
        }
    }

    // Of an operation's value; null if it has none.
    const Slot* find(int operation) const {
        return slot_of_[operation] < 0 ? nullptr : &slots_[slot_of_[operation]];
    }

private:
    static constexpr int ALL = -1;

    struct Use {
        int operation;
        int ahead;  // rows of the input's height that a reader looks ahead and back
        Shape shape;
    };
    struct Shared : Slot {
        int group = ALL;  // the only one that uses it
        size_t row = 0;   // bytes
        int last_read = -1;
        std::vector<Use> uses;
    };

    // For who works in place, what all groups share is as good as memory of its own.
    int choose(int operation, Shape shape, int group) {
        int best = -1;
        for (int i = 0; i < int(slots_.size()); ++i) {
            const bool open = slots_[i].group == group
                              || (slots_[i].group == ALL && has_read(slots_[i], operation));
            if (!open || !is_free(slots_[i], operation, shape)) continue;
            if (best < 0 || fits_better(slots_[i].row, slots_[best].row, shape.row)) best = i;
        }
        if (best < 0) {
            slots_.emplace_back();
            slots_.back().group = group;
            best = int(slots_.size()) - 1;
        }
        return best;
    }

    // The smallest that is large enough; otherwise the largest.
    static bool fits_better(size_t a, size_t b, size_t row) {
        if ((a >= row) != (b >= row)) return a >= row;
        return a >= row ? a < b : a > b;
    }

    // Inside a group all operations are at work together. One may overwrite a pixel when it
    // follows every earlier user far enough, and when both lay their pixels out alike. An
    // operation's own reads pass when it works in place.
    bool is_free(const Shared& slot, int operation, Shape shape) const {
        if (slot.last_read > operation) return false;
        for (const Use& use : slot.uses) {
            if (use.operation == operation) {
                if (!in_place_ || !works_in_place(network_.operations()[operation])) return false;
                if (use.ahead || !(use.shape == shape)) return false;
                continue;
            }
            if (places_[use.operation].group != places_[operation].group) continue;
            if (!(use.shape == shape)) return false;
            if (places_[operation].lag < places_[use.operation].lag + use.ahead) return false;
        }
        return slot.last_read < operation || has_read(slot, operation);
    }

    static bool has_read(const Shared& slot, int operation) {
        return std::any_of(slot.uses.begin(), slot.uses.end(), [&](const Use& use) {
            return use.operation == operation;
        });
    }

    static void put(Shared& slot, int rows, size_t slack, size_t& end) {
        slot.rows = rows;
        slot.begin = end;
        end += round_up(rows * slot.row + slack, CACHE_LINE);
    }

    // Rows from the first write to the last read: then a row may be overwritten.
    int reach_of(const Shared& slot) const {
        int first = MAX_SIDE, last = 0;
        for (const Use& use : slot.uses) {
            first = std::min(first, places_[use.operation].lag);
            last = std::max(last, places_[use.operation].lag + use.ahead);
        }
        return last - first;
    }

    const Network& network_;
    const std::vector<Place>& places_;
    const bool in_place_;  // may a value take the place of one that makes it?
    std::vector<int> slot_of_;
    std::vector<Shared> slots_;
};

Shape shape_of_floats(const Value& v, int factor) {
    return {v.float_stride() * sizeof(float) * factor, factor};
}
Shape shape_of_signs(const Value& v, int factor) {
    return {v.sign_stride() * factor, factor};
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
        case Kind::binary_convolution: return network.kernel().binary_scratch(operation.binary);
        case Kind::bicubic:
            return 2 * row / operation.parameter
                   + size_t(BICUBIC_TAPS - 1) * value.channels * sizeof(float);
        case Kind::channel_attention:
            return 3 * row + size_t(operation.parameter) * value.channels * sizeof(float)
                   + size_t(value.width) * operation.full.out * sizeof(float) + 4 * CACHE_LINE;
        default: return 0;
    }
}

// What each operation's value is like, and the scratch that any of them takes. Returns the
// bytes that kernels may read past the signs of a value.
size_t describe_values(const Network& network, Plan& plan) {
    const auto& operations = network.operations();
    double total = 0;
    size_t slack = 0;
    for (size_t i = 0; i < operations.size(); ++i) {
        const Operation& operation = operations[i];
        Value value;
        value.channels = operation.channels;
        value.height = plan.height * operation.factor;
        value.width = plan.width * operation.factor;
        value.float_rows = value.height;
        value.layout = network.kernel().sign_layout(operation.channels);
        value.border = i + 1 == operations.size() ? 0 : BORDER;
        plan.values.push_back(value);
        if (!operation.needed()) continue;
        total += double(value.height) * value.float_stride() * sizeof(float);
        slack = std::max(slack, size_t(LANES) * value.layout.bytes + CACHE_LINE);
        plan.scratch = std::max(plan.scratch, scratch_bytes(network, operation, value));
    }
    if (total > MAX_BYTES) throw std::length_error("the picture is too large for this network");
    return slack;
}

// For each value, the last operation that reads it.
std::vector<int> find_last_reads(const Network& network) {
    const auto& operations = network.operations();
    std::vector<int> last_read(operations.size(), -1);
    for (size_t i = 0; i < operations.size(); ++i) {
        if (!operations[i].needed()) continue;
        for (const Read& read : operations[i].reads) last_read[read.value] = int(i);
    }
    return last_read;
}

// Gives every value that is needed its slots.
void fill_slots(
    const Network& network, const Plan& plan, const std::vector<int>& last_read, Slots& floats,
    Slots& signs) {
    const auto& operations = network.operations();
    for (size_t i = 0; i < operations.size(); ++i) {
        const Operation& operation = operations[i];
        if (!operation.needed()) continue;
        const int at = int(i);
        for (const Read& read : operation.reads) {
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
            floats.place(at, shape_of_floats(value, operation.factor), last_read[i]);
        }
        if (operation.needs_signs) {
            signs.place(at, shape_of_signs(value, operation.factor), last_read[i]);
        }
    }
}

// Puts the slots into memory, one behind the other, and tells each value where it is.
void lay_out(const Network& network, size_t slack, Plan& plan, Slots& floats, Slots& signs) {
    const auto& operations = network.operations();
    std::vector<int> in_work;
    for (const Sweep& sweep : plan.sweeps) {
        in_work.push_back(std::min(plan.bands, sweep.bands) * sweep.height);
    }
    plan.float_offset.resize(operations.size());
    plan.sign_offset.resize(operations.size());
    floats.lay_out_whole(plan.height, 0, plan.bytes);
    signs.lay_out_whole(plan.height, slack, plan.bytes);
    std::vector<size_t> ends(plan.sweeps.size(), plan.bytes);
    floats.lay_out_parts(plan.height, in_work, 0, ends);
    signs.lay_out_parts(plan.height, in_work, slack, ends);
    for (const size_t end : ends) plan.bytes = std::max(plan.bytes, end);
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
    if (height < 1 || width < 1 || height > MAX_SIDE || width > MAX_SIDE) {
        throw std::length_error("a picture has 1 to 2^20 pixels a side");
    }
    Plan plan;
    plan.height = height;
    plan.width = width;
    plan.threads = std::min(threads, divide_up(height, BAND));
    const size_t slack = describe_values(network, plan);
    const std::vector<int> last_read = find_last_reads(network);
    const std::vector<Place> places = group_operations(network, plan, last_read);
    plan.sweeps = make_sweeps(network, places, plan);
    plan.bands = plan.threads == 1 ? 1 : 2 * plan.threads;
    Slots floats(network, places, true), signs(network, places, false);
    fill_slots(network, plan, last_read, floats, signs);
    lay_out(network, slack, plan, floats, signs);
    plan.scratch = round_up(plan.scratch, CACHE_LINE);
    plan.bytes += plan.scratch * plan.threads;
    for (const Place& place : places) plan.lags.push_back(place.lag);
    return plan;
}

}  // namespace bnnup

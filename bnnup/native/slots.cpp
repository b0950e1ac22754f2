#include "slots.h"

#include <algorithm>
#include <limits>
#include <stdexcept>

namespace bnnup {
namespace {

constexpr double MAX_BYTES =
    std::min(double(std::numeric_limits<size_t>::max()) / 4, double(1ull << 46));

bool works_in_place(const Operation& operation) {
    return operation.kind == Kind::add
        || (operation.kind == Kind::binary_convolution && operation.binary.skip == Skip::identity);
}

// The smallest that is large enough; otherwise the largest.
bool fits_better(size_t a, size_t b, size_t row) {
    if ((a >= row) != (b >= row)) return a >= row;
    return a >= row ? a < b : a > b;
}

}  // namespace

void check_bytes(double bytes) {
    if (bytes > MAX_BYTES) throw std::length_error("the picture is too large for this network");
}

void Slots::place(int operation, Shape shape, int last_read) {
    const int group = places_[operation].group;
    const int slot = choose(operation, shape, places_[last_read].group == group ? group : ALL);
    Shared& s = slots_[slot];
    s.row = std::max(s.row, shape.row);
    s.last_read = last_read;
    s.uses.push_back({operation, 0, shape});
    slot_of_[operation] = slot;
}

void Slots::note_read(int operation, int value, int ahead) {
    if (slot_of_[value] < 0) return;
    Shared& s = slots_[slot_of_[value]];
    s.uses.push_back({operation, ahead, s.uses.back().shape});
}

void Slots::lay_out_whole(int height, size_t slack, size_t& end) {
    for (Shared& s : slots_) {
        if (s.group == ALL) put(s, height, slack, end);
    }
}

void Slots::lay_out_parts(
    int height, const std::vector<int>& in_work, size_t slack, std::vector<size_t>& ends) {
    for (Shared& s : slots_) {
        if (s.group == ALL) continue;
        put(s, std::min(in_work[s.group] + reach_of(s), height), slack, ends[s.group]);
    }
}

// For who works in place, what all groups share is as good as memory of its own.
int Slots::choose(int operation, Shape shape, int group) {
    int best = -1;
    for (int i = 0; i < int(slots_.size()); ++i) {
        const bool open =
            slots_[i].group == group || (slots_[i].group == ALL && has_read(slots_[i], operation));
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

// Inside a group all operations are at work together. One may overwrite a pixel when it
// follows every earlier user far enough, and when both lay their pixels out alike. An
// operation's own reads pass when it works in place.
bool Slots::is_free(const Shared& slot, int operation, Shape shape) const {
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

bool Slots::has_read(const Shared& slot, int operation) {
    return std::any_of(slot.uses.begin(), slot.uses.end(), [&](const Use& use) {
        return use.operation == operation;
    });
}

void Slots::put(Shared& slot, int rows, size_t slack, size_t& end) {
    slot.rows = rows;
    slot.begin = end;
    check_bytes(double(end) + double(rows) * double(slot.row) + double(slack));
    end += round_up(rows * slot.row + slack, CACHE_LINE);
}

// Rows from the first write to the last read: then a row may be overwritten.
int Slots::reach_of(const Shared& slot) const {
    int first = MAX_SIDE, last = 0;
    for (const Use& use : slot.uses) {
        first = std::min(first, places_[use.operation].lag);
        last = std::max(last, places_[use.operation].lag + use.ahead);
    }
    return last - first;
}

}  // namespace bnnup

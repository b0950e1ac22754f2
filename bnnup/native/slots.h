// Memory that values share one after another.
//
// Inside a sweep all operations are at work together, each some rows behind the first. Three
// 3x3 convolutions A, B and C that read each other, at work on rows 4 to 7 of a picture:
//
//     row             0  1  2  3  4  5  6  7
//     A writes                    W  W  W  W
//     B reads of A          r  r  r  r  r  r    and writes rows 3 to 6
//     C writes              W  W  W  W
//
// The slot of A holds six rows: the four of the band, and the two from the first write to the
// last read. Row 8 will go where row 2 was. C, two rows behind A, may have the same slot: B,
// one row behind and looking one row back and ahead, has read rows 2 to 5 for the last time.
#pragma once

#include <vector>

#include "network.h"

namespace bnnup {

constexpr int MAX_SIDE = 1 << 20;  // pixels

// std::length_error for more bytes than a quarter of what can be addressed, or than 64 TiB: up to
// there, sums of a few sizes do not overflow.
void check_bytes(double bytes);

// How far an operation follows the first one of its group, in rows and columns of the input.
struct Place {
    int group = -1;
    int lag = 0;
};

// How a value, its floats or its signs, lies in memory.
struct Shape {
    size_t row = 0;  // bytes, of a row of the input's height
    int factor = 1;

    bool operator==(const Shape& other) const { return row == other.row && factor == other.factor; }
};

// All floats, or all signs. A slot has all rows of a picture; or, if nothing outside a group
// uses it, those in flight.
class Slots {
public:
    struct Slot {
        int rows = 0;  // of the input's height
        size_t begin = 0;
    };

    // in_place: may a value take the place of one that makes it?
    Slots(const Network& network, const std::vector<Place>& places, bool in_place)
        : network_(network), places_(places), in_place_(in_place), slot_of_(places.size(), -1) {}

    // A slot for the value of `operation`.
    void place(int operation, Shape shape, int last_read);
    // `ahead`: rows of the input's height that the operation looks ahead and back.
    void note_read(int operation, int value, int ahead);

    // Puts slots with all rows behind `end`, and moves it. slack: bytes behind each.
    void lay_out_whole(int height, size_t slack, size_t& end);
    // The same for the others, by group. in_work: rows of the bands that are in work.
    void lay_out_parts(
        int height, const std::vector<int>& in_work, size_t slack, std::vector<size_t>& ends);

    // Of an operation's value; null if it has none.
    const Slot* find(int operation) const {
        return slot_of_[operation] < 0 ? nullptr : &slots_[slot_of_[operation]];
    }

private:
    static constexpr int ALL = -1;

    struct Use {
        int operation;
        int ahead;
        Shape shape;
    };
    struct Shared : Slot {
        int group = ALL;  // the only one that uses it
        size_t row = 0;   // bytes
        int last_read = -1;
        std::vector<Use> uses;
    };

    int choose(int operation, Shape shape, int group);
    bool is_free(const Shared& slot, int operation, Shape shape) const;
    int reach_of(const Shared& slot) const;
    static bool has_read(const Shared& slot, int operation);
    static void put(Shared& slot, int rows, size_t slack, size_t& end);

    const Network& network_;
    const std::vector<Place>& places_;
    const bool in_place_;
    std::vector<int> slot_of_;
    std::vector<Shared> slots_;
};

}  // namespace bnnup

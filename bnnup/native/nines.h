// Nine sign products counted with fewer steps than nine popcounts.
//
// x[i] = a[i] xor w[i] are nine words whose set bits are to be counted. A full adder
// turns three of them into a sum (weight 1) and a carry (weight 2):
//
//     sum   = x0 ^ x1 ^ x2                = (a0^a1^a2) ^ (w0^w1^w2)
//     carry = majority(x0, x1, x2)        = ((x0^x1) & (x0^x2)) ^ x0
//
// x0^x1 is (a0^a1) ^ (w0^w1), so what belongs to the activations and what belongs to
// the weights can be combined beforehand: the first once per pixel for all output
// channels, the second once for ever. Three adders take the nine words, a fourth
// takes their sums, which again are a xor w. What is left is one word of weight 1 and
// four of weight 2, from 13 operands on either side:
//
//     [3i .. 3i+2]  x0, x0^x1, x0^x2 of adder i = 0, 1, 2, and of adder 3 over the sums
//     [12]          the sum of sums
//
// The words that are left when the terms are no multiple of nine are counted singly.
#pragma once

#include <cstdint>

namespace bnnup {

constexpr int NINE = 9;
constexpr int NINE_OPERANDS = 13;

constexpr int operands_of(int terms) { return terms / NINE * NINE_OPERANDS + terms % NINE; }

}  // namespace bnnup

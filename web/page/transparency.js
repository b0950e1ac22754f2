// Colour under fully transparent pixels, which nobody sees but every filter reads: what
// bnnup.pixels.transparency does, to the bit.

/**
 * Samples of { width, height, channels, samples } in which fully transparent pixels have the
 * colour of the visible ones that they are near to. The colour spreads from the visible pixels,
 * one pixel a round and `reach` in all: each pixel takes the mean of those around it that have
 * a colour already.
 */
export function fillTransparent({ width, height, channels, samples }, reach) {
  if (channels % 2) return samples;
  const wide = width + 2; // with a border, so that every pixel has eight around it
  const known = findVisible(samples, width, height, channels);
  if (!known.some((is, at) => is !== 1 && inside(at, wide, height)) || !known.includes(1)) {
    return samples;
  }
  const filled = samples.slice();
  const around = [-wide - 1, -wide, -wide + 1, -1, 1, wide - 1, wide, wide + 1];
  let edge = findEdge(known, around, wide, height);
  for (let round = 0; round < reach && edge.length; round++) {
    for (const at of edge) takeMean(filled, at, around, known, wide, channels);
    for (const at of edge) known[at] = 1;
    edge = findNext(edge, known, around, wide, height);
  }
  return filled;
}

function findVisible(samples, width, height, channels) {
  const known = new Uint8Array((width + 2) * (height + 2));
  for (let y = 0, at = channels - 1; y < height; y++) {
    for (let x = 0; x < width; x++, at += channels) {
      known[(y + 1) * (width + 2) + x + 1] = samples[at] > 0 ? 1 : 0;
    }
  }
  return known;
}

function inside(at, wide, height) {
  const y = Math.floor(at / wide), x = at % wide;
  return y > 0 && y <= height && x > 0 && x < wide - 1;
}

function findEdge(known, around, wide, height) {
  const edge = [];
  for (let y = 1; y <= height; y++) {
    for (let at = y * wide + 1; at < (y + 1) * wide - 1; at++) {
      if (!known[at] && around.some((step) => known[at + step])) edge.push(at);
    }
  }
  return edge;
}

function findNext(edge, known, around, wide, height) {
  const next = new Set();
  for (const at of edge) {
    for (const step of around) {
      if (!known[at + step] && inside(at + step, wide, height)) next.add(at + step);
    }
  }
  return [...next];
}

// In the order in which numpy adds eight numbers.
function takeMean(samples, at, around, known, wide, channels) {
  const count = around.reduce((sum, step) => sum + known[at + step], 0);
  const share = 1 / count;
  const place = (of) => (Math.floor(of / wide - 1) * (wide - 2) + (of % wide) - 1) * channels;
  for (let color = 0; color < channels - 1; color++) {
    const [a, b, c, d, e, f, g, h] = around.map((step) =>
      known[at + step] ? samples[place(at + step) + color] * share : 0,
    );
    samples[place(at) + color] = Math.floor(a + b + (c + d) + (e + f + (g + h)) + 0.5);
  }
}

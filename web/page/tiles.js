// Cutting a picture into tiles that give exactly the untiled result, as bnnup.pixels.tiling does: a
// core is wanted; around it, as far as the picture goes, is what the network looks at.

const MOST = 1 << 18; // input pixels of a tile: memory of a worker, and time between news of it
const WIDEST = 512; // of a core: what is nearly square has the least around it
const LOWEST = 16;

/** Tiles { core, outer } of { top, bottom, left, right }, row by row, for several workers. */
export function planTiles(height, width, halo, workers) {
  const across = Math.ceil(width / WIDEST);
  const high = Math.floor(MOST / Math.min(width / across + 2 * halo, width)) - 2 * halo;
  const share = (height * across) / workers;
  const rows = Math.max(LOWEST, share / Math.ceil(share / Math.max(LOWEST, high)));
  const tiles = [];
  for (const [top, bottom] of spans(height, rows)) {
    for (const [left, right] of spans(width, WIDEST)) {
      const core = { top, bottom, left, right };
      tiles.push({ core, outer: widen(core, halo, height, width) });
    }
  }
  return tiles;
}

function spans(length, most) {
  const count = Math.ceil(length / most);
  const edge = (i) => Math.round((length * i) / count);
  return Array.from({ length: count }, (_, i) => [edge(i), edge(i + 1)]);
}

function widen({ top, bottom, left, right }, halo, height, width) {
  return {
    top: Math.max(top - halo, 0),
    bottom: Math.min(bottom + halo, height),
    left: Math.max(left - halo, 0),
    right: Math.min(right + halo, width),
  };
}

/** A copy of an area of (height, width, channels) samples. */
export function cut(samples, width, channels, { top, bottom, left, right }) {
  const row = (right - left) * channels;
  const part = new samples.constructor((bottom - top) * row);
  for (let y = top; y < bottom; y++) {
    const begin = (y * width + left) * channels;
    part.set(samples.subarray(begin, begin + row), (y - top) * row);
  }
  return part;
}

/** An area in the pixels of another one that contains it, both scaled. */
export function within(area, outer, scale) {
  return {
    top: (area.top - outer.top) * scale,
    bottom: (area.bottom - outer.top) * scale,
    left: (area.left - outer.left) * scale,
    right: (area.right - outer.left) * scale,
  };
}

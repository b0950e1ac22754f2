// Which network suits a picture: one for clean pictures, for real, damaged ones, or for screenshots.
// The same rule as bnnup.upscale.choice, so that the page decides as the command line does.

const QUALITY = 93; // of JPEG, from which on a picture counts as clean
const SIGMA = 2; // noise in 8-bit levels, from which on it counts as damaged
const DRAWN = 0.5; // share of steps out of flat areas, from which on it counts as a screenshot
const SIDE = 1024; // pixels in the middle of a picture that is looked at
const BLOCK = 4; // pixels each way over which noise is averaged
const QUIET = 0.01; // share of the blocks, the quietest ones, in which nothing but noise is seen
const SHARE = 0.445; // of an even noise, that its quietest blocks have
const FLAT = 0.5; // share of blocks without any change from which on a picture was drawn
const STEP = 32; // levels between neighbours that make a step
const SLOPE = 16; // levels, at most, by which a reduction's pixels change just before a step
const STEPS = 64; // fewer tell nothing
const [KR, KB] = [0.299, 0.114]; // shares of red and blue in luma
const SPAN = BLOCK + 2; // rows or columns that a block of second differences looks at

const REAL = { "hybrid": "edsr-small-real", "hybrid-large": "hybrid-large-real" };
const NETWORKS = {
  clean: (wanted) => wanted,
  real: (wanted) => REAL[wanted],
  screen: () => "edsr-small-screen",
};

/**
 * The network for a picture of readPicture, and why: { network, reason, kind }. wanted: the
 * network for clean pictures; condition: "auto", or the kind that the user says it is.
 */
export function chooseNetwork(picture, wanted, condition = "auto") {
  const { kind, reason } = condition === "auto" ? judge(picture) : { kind: condition };
  return { network: NETWORKS[kind](wanted), reason, kind };
}

/** Whether a picture is "clean", "real" or of a "screen", and why: { kind, reason }. */
export function judge(picture) {
  picture.verdict ??= judgeAnew(picture);
  return picture.verdict;
}

function judgeAnew(picture) {
  const { loss } = picture;
  if (loss && !(loss.quality >= QUALITY)) return { kind: "real", reason: inWords(loss) };
  const sigma = estimateNoise(picture);
  if (sigma >= SIGMA) return { kind: "real", reason: `noise of ${sigma.toFixed(1)} levels` };
  if (!loss && drawnShare(picture) >= DRAWN) {
    return { kind: "screen", reason: "drawn for its pixels" };
  }
  return { kind: "clean", reason: loss ? inWords(loss) : "lossless and clean" };
}

const inWords = ({ kind, quality }) => (quality ? `${kind} of quality ${quality}` : kind);

/** Standard deviation of the noise of { width, height, channels, samples } in 8-bit levels. */
export function estimateNoise(picture) {
  const [left, top, wide, high] = middleOf(picture);
  const levels = lumaOf(picture, left, top, wide, high);
  const means = [];
  for (let y = 0; y + SPAN <= high; y += BLOCK) {
    for (let x = 0; x + SPAN <= wide; x += BLOCK) means.push(meanOf(levels, wide, x, y));
  }
  const changing = means.filter((mean) => mean > 0).sort((a, b) => a - b);
  if (!changing.length || changing.length < FLAT * means.length) return 0;
  return (quantile(changing, QUIET) * Math.sqrt(Math.PI / 2)) / (6 * SHARE);
}

/** How much of { width, height, channels, samples } was drawn for its pixels, from 0 to 1. */
export function drawnShare(picture) {
  const { width, channels, samples } = picture;
  const [left, top, wide, high] = middleOf(picture);
  const colors = channels < 3 ? 1 : 3;
  const unit = samples.BYTES_PER_ELEMENT === 2 ? 257 : 1;
  const counts = { flat: 0, soft: 0 };
  const changes = new Float64Array(Math.max(wide, high));
  // Of a line of pixels, by where it begins and how far they are apart.
  const count = (first, stride, length) => {
    for (let i = 0, at = first; i + 1 < length; i++, at += stride) {
      let most = 0;
      for (let color = 0; color < colors; color++) {
        most = Math.max(most, Math.abs(samples[at + color] - samples[at + stride + color]));
      }
      changes[i] = most / unit;
    }
    for (let i = 0; i + 1 < length; i++) {
      if (changes[i] < STEP) continue;
      for (const way of [-1, 1]) {
        const [near, far] = [i + way, i + 2 * way];
        if (far < 0 || far >= length - 1) continue;
        const before = Math.max(changes[near], changes[far]);
        if (before === 0) counts.flat++;
        else if (before <= SLOPE) counts.soft++;
      }
    }
  };
  const start = (top * width + left) * channels;
  for (let y = 0; y < high; y++) count(start + y * width * channels, channels, wide);
  for (let x = 0; x < wide; x++) count(start + x * channels, width * channels, high);
  const all = counts.flat + counts.soft;
  return all >= STEPS ? counts.flat / all : 0;
}

// [left, top, width, height] of what is looked at.
function middleOf({ width, height }) {
  const [wide, high] = [width, height].map((side) => Math.min(side, SIDE));
  return [(width - wide) >> 1, (height - high) >> 1, wide, high];
}

// Luma, or grey, in levels of 8 bits.
function lumaOf({ width, channels, samples }, left, top, wide, high) {
  const levels = new Float32Array(wide * high);
  const white = samples.BYTES_PER_ELEMENT === 2 ? 65535 : 255;
  const [second, third] = channels < 3 ? [0, 0] : [1, 2];
  for (let y = 0, to = 0; y < high; y++) {
    let from = ((top + y) * width + left) * channels;
    for (let x = 0; x < wide; x++, to++, from += channels) {
      const [red, green, blue] = [samples[from], samples[from + second], samples[from + third]];
      // Differences first: those of grey vanish, and slopes of grey stay straight.
      const luma = green + KR * (red - green) + KB * (blue - green);
      levels[to] = (luma * 255) / white;
    }
  }
  return levels;
}

// Of the absolute values of Immerkær's mask, which sees neither flat areas nor slopes.
function meanOf(levels, width, left, top) {
  const across = (at) => levels[at] - 2 * levels[at + 1] + levels[at + 2];
  let sum = 0;
  for (let y = top; y < top + BLOCK; y++) {
    for (let x = left; x < left + BLOCK; x++) {
      const at = y * width + x;
      sum += Math.abs(across(at) - 2 * across(at + width) + across(at + 2 * width));
    }
  }
  return sum / BLOCK ** 2;
}

// Of sorted values, with straight lines between them.
function quantile(values, share) {
  const place = share * (values.length - 1);
  const below = Math.floor(place);
  const above = Math.min(below + 1, values.length - 1);
  return values[below] + (values[above] - values[below]) * (place - below);
}

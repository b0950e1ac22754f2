// Which network suits a picture: one for clean pictures, or one for real, damaged ones. The same
// rule as bnnup.upscale.choice, so that the page decides as the command line does.

const QUALITY = 90; // of JPEG, from which on a picture counts as clean
const SIGMA = 3; // noise in 8-bit levels, from which on it counts as damaged
const SIDE = 1024; // pixels in the middle of a picture that noise is measured on
const BLOCK = 16; // pixels each way over which noise is averaged
const QUIET = 0.1; // share of the blocks, the quietest ones, in which nothing but noise is seen
const FLAT = 0.5; // share of blocks without any change from which on a picture was drawn
const [KR, KB] = [0.299, 0.114]; // shares of red and blue in luma
const SPAN = BLOCK + 2; // rows or columns that a block of second differences looks at

/**
 * The network for a picture of readPicture, and why: { network, reason, real }. wanted: the
 * network for clean pictures; condition: "auto", or what the user says that the picture is.
 */
export function chooseNetwork(picture, wanted, condition = "auto") {
  const { real, reason } = condition === "auto" ? judge(picture) : { real: condition === "real" };
  return { network: real ? `${wanted}-real` : wanted, reason, real };
}

/** Whether a picture is a real, damaged one, and why: { real, reason }. */
export function judge(picture) {
  picture.verdict ??= judgeAnew(picture);
  return picture.verdict;
}

function judgeAnew(picture) {
  const { loss } = picture;
  if (loss && !(loss.quality >= QUALITY)) return { real: true, reason: inWords(loss) };
  const sigma = estimateNoise(picture);
  if (sigma >= SIGMA) return { real: true, reason: `noise of ${sigma.toFixed(1)} levels` };
  return { real: false, reason: loss ? inWords(loss) : "lossless and clean" };
}

const inWords = ({ kind, quality }) => (quality ? `${kind} of quality ${quality}` : kind);

/** Standard deviation of the noise of { width, height, channels, samples } in 8-bit levels. */
export function estimateNoise(picture) {
  const { width, height } = picture;
  const [wide, high] = [width, height].map((side) => Math.min(side, SIDE));
  const [left, top] = [(width - wide) >> 1, (height - high) >> 1];
  const levels = lumaOf(picture, left, top, wide, high);
  const means = [];
  for (let y = 0; y + SPAN <= high; y += BLOCK) {
    for (let x = 0; x + SPAN <= wide; x += BLOCK) means.push(meanOf(levels, wide, x, y));
  }
  const changing = means.filter((mean) => mean > 0).sort((a, b) => a - b);
  if (!changing.length || changing.length < FLAT * means.length) return 0;
  return (quantile(changing, QUIET) * Math.sqrt(Math.PI / 2)) / 6;
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

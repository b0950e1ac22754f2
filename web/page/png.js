// PNG, read and written here because a browser's own way changes pixels: it keeps 8 bits only,
// multiplies by alpha and matches colours to the screen.
//
// W3C, "Portable Network Graphics (PNG) Specification (Third Edition)".

import { ascii, crc32, deflate, inflate, join, toAscii, uint32, view } from "./bytes.js";

const SIGNATURE = Uint8Array.of(137, 80, 78, 71, 13, 10, 26, 10);
const CHANNELS = { 0: 1, 2: 3, 3: 1, 4: 2, 6: 4 }; // by colour type, as they lie in the file
const COLOR_TYPES = { 1: 0, 2: 4, 3: 2, 4: 6 }; // by number of channels
const PALETTE = 3;
const PAETH = 4; // the filter that suits enlarged pictures best
const ROWS = 64; // filtered at a time
const METRES_PER_INCH = 0.0254;
// Adam7: first column and row, and steps, of each pass.
const PASSES = [
  [0, 0, 8, 8], [4, 0, 8, 8], [0, 4, 4, 8], [2, 0, 4, 4], [0, 2, 2, 4], [1, 0, 2, 2], [0, 1, 1, 2],
];

export const isPng = (bytes) => SIGNATURE.every((byte, i) => bytes[i] === byte);

/** Width, height and channels that a file states. */
export function pngSize(bytes) {
  return { width: view(bytes).getUint32(16), height: view(bytes).getUint32(20) };
}

/** The bytes of a file to { width, height, channels, samples, info }; samples of 8 or 16 bits. */
export async function readPng(bytes) {
  const { head, palette, clear, data, info, animated } = await readChunks(bytes);
  if (!head || !data.length) throw new Error("the PNG is not complete");
  let raw;
  try {
    raw = await inflate(data);
  } catch {
    throw new Error("the PNG is damaged or not complete");
  }
  const pixels = unpack(head, raw);
  const picture = head.colorType === PALETTE
    ? fromPalette(pixels, palette, clear, head, info)
    : withClearColor(pixels, clear, head);
  return { width: head.width, height: head.height, ...picture, info, animated };
}

async function readChunks(bytes) {
  const found = { data: [], info: {}, animated: false };
  const numbers = view(bytes);
  for (let at = 8; at + 12 <= bytes.length; ) {
    const length = numbers.getUint32(at);
    const kind = ascii(bytes, at + 4, 4);
    const content = bytes.subarray(at + 8, at + 8 + length);
    if (content.length < length) throw new Error("the PNG is not complete");
    if (kind === "IDAT") found.data.push(content);
    else if (kind === "IEND") break;
    else await readChunk(kind, content, found);
    at += length + 12;
  }
  return found;
}

async function readChunk(kind, content, found) {
  const { info } = found;
  switch (kind) {
    case "IHDR": found.head = readHead(content); break;
    case "PLTE": found.palette = content; break;
    case "tRNS": found.clear = content; break;
    case "acTL": found.animated = true; break;
    case "eXIf": info.exif = content; break;
    case "iCCP": info.icc = await profileOf(content); break;
    case "pHYs": {
      if (content.length < 9) break;
      const [x, y] = [view(content).getUint32(0), view(content).getUint32(4)];
      if (content[8] === 1) info.dpi = [x * METRES_PER_INCH, y * METRES_PER_INCH];
      break;
    }
    case "iTXt":
      if (ascii(content, 0, 18) === "XML:com.adobe.xmp\0" && !content[18]) {
        let at = content.indexOf(0, 20) + 1;
        at = content.indexOf(0, at) + 1;
        info.xmp = content.slice(at);
      }
  }
}

const profileOf = (content) => inflate([content.subarray(content.indexOf(0) + 2)]).catch(() => undefined);

function readHead(content) {
  const numbers = view(content);
  const [bits, colorType, , , interlaced] = content.subarray(8);
  const head = {
    width: numbers.getUint32(0), height: numbers.getUint32(4), bits, colorType, interlaced,
    channels: CHANNELS[colorType],
  };
  if (!head.channels || !head.width || !head.height || ![1, 2, 4, 8, 16].includes(bits)) {
    throw new Error("the PNG has a header that makes no sense");
  }
  return head;
}

// Samples (height, width, channels) as they are in the file: 16 bits, or up to 8.
function unpack(head, raw) {
  const { width, height, channels, bits } = head;
  const Samples = bits === 16 ? Uint16Array : Uint8Array;
  const samples = new Samples(width * height * channels);
  const passes = head.interlaced ? PASSES : [[0, 0, 1, 1]];
  let at = 0;
  for (const [left, top, right, down] of passes) {
    const columns = Math.ceil((width - left) / right), rows = Math.ceil((height - top) / down);
    if (columns < 1 || rows < 1) continue;
    const length = Math.ceil((columns * channels * bits) / 8);
    const part = raw.subarray(at, (at += rows * (length + 1)));
    if (part.length < rows * (length + 1)) throw new Error("the PNG is not complete");
    unfilter(part, rows, length, Math.max(1, (channels * bits) / 8));
    for (let y = 0; y < rows; y++) {
      const row = part.subarray(y * (length + 1) + 1, (y + 1) * (length + 1));
      const to = ((top + y * down) * width + left) * channels;
      spread(row, columns, channels, bits, samples, to, right * channels);
    }
  }
  return samples;
}

function spread(row, columns, channels, bits, samples, to, step) {
  if (bits === 8 && step === channels) return samples.set(row, to);
  const mask = (1 << bits) - 1;
  for (let x = 0, i = 0; x < columns; x++, to += step) {
    for (let c = 0; c < channels; c++, i++) {
      if (bits === 16) samples[to + c] = (row[2 * i] << 8) | row[2 * i + 1];
      else samples[to + c] = (row[(i * bits) >> 3] >> (8 - bits - ((i * bits) & 7))) & mask;
    }
  }
}

// In place; before each row stands its filter.
function unfilter(part, rows, length, pixel) {
  let above = new Uint8Array(length);
  for (let y = 0; y < rows; y++) {
    const filter = part[y * (length + 1)];
    const row = part.subarray(y * (length + 1) + 1, (y + 1) * (length + 1));
    if (filter > 4) throw new Error("the PNG is damaged");
    for (let x = 0; filter && x < length; x++) {
      const left = x < pixel ? 0 : row[x - pixel], corner = x < pixel ? 0 : above[x - pixel];
      if (filter === 1) row[x] += left;
      else if (filter === 2) row[x] += above[x];
      else if (filter === 3) row[x] += (left + above[x]) >> 1;
      else row[x] += paeth(left, above[x], corner);
    }
    above = row;
  }
}

function paeth(left, up, corner) {
  const toLeft = Math.abs(up - corner), toUp = Math.abs(left - corner);
  const toCorner = Math.abs(left + up - 2 * corner);
  if (toLeft <= toUp && toLeft <= toCorner) return left;
  return toUp <= toCorner ? up : corner;
}

// A palette of greys without a profile, which would describe RGB, is grey.
function fromPalette(indices, palette, clear, { width, height }, info) {
  if (!palette) throw new Error("the PNG lacks its palette");
  const count = palette.length / 3;
  const grey = !info.icc && isGrey(palette);
  const colors = grey ? 1 : 3, channels = colors + (clear ? 1 : 0);
  const samples = new Uint8Array(width * height * channels);
  for (let i = 0; i < indices.length; i++) {
    const index = indices[i] < count ? indices[i] : 0;
    for (let c = 0; c < colors; c++) samples[i * channels + c] = palette[index * 3 + c];
    if (clear) samples[i * channels + colors] = index < clear.length ? clear[index] : 255;
  }
  return { channels, samples };
}

function isGrey(palette) {
  for (let i = 0; i < palette.length; i += 3) {
    if (palette[i] !== palette[i + 1] || palette[i] !== palette[i + 2]) return false;
  }
  return true;
}

// One colour may count as transparent; fewer than 8 bits become 8.
function withClearColor(samples, clear, { channels, bits }) {
  const white = bits === 16 ? 65535 : 255;
  const factor = bits < 8 ? 255 / ((1 << bits) - 1) : 1;
  if (!clear || clear.length < 2 * channels || channels % 2 === 0) {
    return { channels, samples: factor === 1 ? samples : samples.map((x) => x * factor) };
  }
  const color = Array.from({ length: channels }, (_, c) => view(clear).getUint16(2 * c));
  const count = samples.length / channels, wide = channels + 1;
  const result = new samples.constructor(count * wide);
  for (let i = 0; i < count; i++) {
    let same = true;
    for (let c = 0; c < channels; c++) {
      const sample = samples[i * channels + c];
      same &&= sample === color[c];
      result[i * wide + c] = sample * factor;
    }
    result[i * wide + channels] = same ? 0 : white;
  }
  return { channels: wide, samples: result };
}

/** A Blob of { width, height, channels, strips, info }, strip by strip. */
export async function writePng(picture) {
  const parts = [SIGNATURE, ...(await headChunks(picture))];
  const deflater = new CompressionStream("deflate");
  const compressed = (async () => {
    const reader = deflater.readable.getReader();
    for (let step = await reader.read(); !step.done; step = await reader.read()) {
      parts.push(...chunk("IDAT", step.value));
    }
  })();
  const writer = deflater.writable.getWriter();
  let above = null;
  for (const { rows, samples } of picture.strips) {
    const row = samples.length / rows;
    for (let y = 0; y < rows; y += ROWS) {
      const part = samples.subarray(y * row, Math.min(y + ROWS, rows) * row);
      await writer.write(filter(part, above, row, picture.channels));
      above = part.subarray(part.length - row);
      await new Promise((resolve) => setTimeout(resolve)); // so that the page stays alive
    }
  }
  await writer.close();
  await compressed;
  return new Blob([...parts, ...chunk("IEND", new Uint8Array(0))], { type: "image/png" });
}

// Rows, each preceded by its filter, as the difference from Paeth's guess.
function filter(samples, above, row, channels) {
  const wide = samples.BYTES_PER_ELEMENT;
  const bytes = bigEndian(samples), length = row * wide, pixel = channels * wide;
  const rows = samples.length / row;
  const filtered = new Uint8Array(rows * (length + 1));
  let up = above ? bigEndian(above) : new Uint8Array(length);
  for (let y = 0; y < rows; y++) {
    const now = bytes.subarray(y * length, (y + 1) * length);
    const to = y * (length + 1);
    filtered[to] = PAETH;
    for (let x = 0; x < pixel; x++) filtered[to + 1 + x] = now[x] - up[x];
    for (let x = pixel; x < length; x++) {
      filtered[to + 1 + x] = now[x] - paeth(now[x - pixel], up[x], up[x - pixel]);
    }
    up = now;
  }
  return filtered;
}

function bigEndian(samples) {
  if (samples.BYTES_PER_ELEMENT === 1) return samples;
  const bytes = new Uint8Array(samples.length * 2);
  for (let i = 0; i < samples.length; i++) {
    bytes[2 * i] = samples[i] >> 8;
    bytes[2 * i + 1] = samples[i];
  }
  return bytes;
}

async function headChunks({ width, height, channels, strips, info }) {
  const bits = strips[0].samples.BYTES_PER_ELEMENT * 8;
  const head = join(
    uint32(width), uint32(height), Uint8Array.of(bits, COLOR_TYPES[channels], 0, 0, 0),
  );
  const chunks = [...chunk("IHDR", head)];
  if (info.icc) chunks.push(...chunk("iCCP", join(toAscii("ICC Profile\0\0"), await deflate([info.icc]))));
  if (info.dpi) {
    const [x, y] = info.dpi.map((density) => uint32(Math.round(density / METRES_PER_INCH)));
    chunks.push(...chunk("pHYs", join(x, y, Uint8Array.of(1))));
  }
  if (info.exif) chunks.push(...chunk("eXIf", info.exif));
  if (info.xmp) chunks.push(...chunk("iTXt", join(toAscii("XML:com.adobe.xmp\0\0\0\0\0"), info.xmp)));
  return chunks;
}

function chunk(kind, content) {
  const name = toAscii(kind);
  return [uint32(content.length), name, content, uint32(crc32(content, crc32(name)))];
}

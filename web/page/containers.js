// What stands around the pixels of JPEG and WebP: taken off before the browser decodes them, so
// that it neither turns them nor matches their colours, and put around the enlarged ones.

import { ascii, join, toAscii, uint16, uint32, view } from "./bytes.js";

const EXIF = "Exif\0\0", XMP = "http://ns.adobe.com/xap/1.0/\0", ICC = "ICC_PROFILE\0";
// Sum of the Independent JPEG Group's table for luma, quality 50, in ITU-T T.81, annex K.
const STANDARD_SUM = 3688;
const SEGMENT = 65533; // bytes in a segment of JPEG
const LIMITS = { exif: SEGMENT - EXIF.length, xmp: SEGMENT - XMP.length };
const PIECE = SEGMENT - ICC.length - 2; // bytes of a profile in one segment
/** Bytes of the longest profile that a JPEG holds. */
export const LONGEST_PROFILE = 255 * PIECE;
const DENSEST = 65535; // pixels per inch that a JPEG can state
const FRAME_HEAD = 16; // bytes before the chunks of a WebP's frame
const [ALPHA_BIT, EXIF_BIT, XMP_BIT, ICC_BIT] = [0x10, 0x08, 0x04, 0x20];

export const isJpeg = (bytes) => bytes[0] === 0xff && bytes[1] === 0xd8;
export const isWebp = (bytes) => ascii(bytes, 0, 4) === "RIFF" && ascii(bytes, 8, 4) === "WEBP";

/** The bytes of a JPEG to { width, height, channels, bare, info, loss }; bare: without info. */
export function readJpeg(bytes) {
  const numbers = view(bytes);
  const found = { info: {}, bare: [bytes.subarray(0, 2)] };
  const profile = [];
  let at = 2;
  for (;;) {
    while (bytes[at] === 0xff && bytes[at + 1] === 0xff) at++; // fill bytes: T.81, B.1.1.2
    if (at + 4 > bytes.length || bytes[at] !== 0xff || bytes[at + 1] === 0xda) break;
    const marker = bytes[at + 1], end = at + 2 + numbers.getUint16(at + 2);
    if (end > bytes.length) break;
    const content = bytes.subarray(at + 4, end);
    if (!readSegment(marker, content, found, profile)) found.bare.push(bytes.subarray(at, end));
    at = end;
  }
  if (!found.width) throw new Error("the JPEG is damaged or not complete");
  found.bare.push(bytes.subarray(at));
  const whole = profile.length && !profile.includes(undefined);
  if (whole && found.channels < 4) found.info.icc = join(...profile);
  return found;
}

// Whether a segment is among what does not go to the browser's decoder.
function readSegment(marker, content, found, profile) {
  const starts = (text) => ascii(content, 0, text.length) === text;
  if (marker === 0xe1 && starts(EXIF)) found.info.exif = content.slice(EXIF.length);
  else if (marker === 0xe1 && starts(XMP)) found.info.xmp = content.slice(XMP.length);
  else if (marker === 0xe2 && starts(ICC)) profile[content[ICC.length] - 1] = content.slice(ICC.length + 2);
  else {
    if (marker === 0xe0 && starts("JFIF\0")) found.info.dpi = density(content);
    if (marker === 0xdb) found.loss = lossOf(content) ?? found.loss;
    const isFrame = marker >= 0xc0 && marker <= 0xcf && ![0xc4, 0xc8, 0xcc].includes(marker);
    if (isFrame && content.length >= 6) {
      found.height = view(content).getUint16(1);
      found.width = view(content).getUint16(3);
      found.channels = content[5];
    }
    return false;
  }
  return true;
}

// What quantization tables tell of the quality, as in bnnup.pictures.loss; undefined without the
// first of them.
function lossOf(content) {
  for (let at = 0; at < content.length; ) {
    const bytes = content[at] >> 4 ? 2 : 1;
    if ((content[at] & 15) === 0) {
      const table = view(content.slice(at + 1, at + 1 + 64 * bytes));
      if (table.byteLength < 64 * bytes) break;
      const entry = (i) => (bytes === 2 ? table.getUint16(2 * i) : table.getUint8(i));
      return { kind: "JPEG", quality: qualityOf(Array.from({ length: 64 }, (_, i) => entry(i))) };
    }
    at += 1 + 64 * bytes;
  }
  return undefined;
}

function qualityOf(table) {
  const percent = (100 * table.reduce((a, b) => a + b)) / STANDARD_SUM;
  const quality = percent <= 100 ? (200 - percent) / 2 : 5000 / percent;
  return Math.min(Math.max(Math.floor(quality + 0.5), 1), 100);
}

function density(content) {
  if (content.length < 12) return undefined;
  const unit = { 1: 1, 2: 2.54 }[content[7]];
  const [x, y] = [view(content).getUint16(8), view(content).getUint16(10)];
  return unit && x && y ? [x * unit, y * unit] : undefined;
}

/** What a file of another kind lost, as far as its first bytes tell; undefined if nothing. */
export function lossOfOther(bytes) {
  const brand = ascii(bytes, 4, 4) === "ftyp" ? ascii(bytes, 8, 4) : "";
  if (["avif", "avis"].includes(brand)) return { kind: "AVIF" };
  if (brand) return { kind: "HEIF" };
  const jxl = (bytes[0] === 0xff && bytes[1] === 0x0a) || ascii(bytes, 4, 4) === "JXL ";
  return jxl ? { kind: "JXL" } : undefined;
}

/** What of info is longer than a JPEG can hold: "exif", "xmp". */
export const tooLong = (info) => Object.keys(LIMITS).filter((key) => info[key]?.length > LIMITS[key]);

/** The bytes of an encoded JPEG with info in it, as far as it has room for that, and no other. */
export function intoJpeg(bytes, info) {
  const { icc } = info, long = tooLong(info);
  const [exif, xmp] = ["exif", "xmp"].map((key) => !long.includes(key) && info[key]);
  const dpi = info.dpi?.map(Math.round);
  const [begin, ...rest] = readJpeg(bytes).bare;
  const segment = (marker, ...parts) => {
    const length = parts.reduce((sum, part) => sum + part.length, 2);
    return join(Uint8Array.of(0xff, marker), uint16(length), ...parts);
  };
  const parts = [begin];
  const jfif = rest[0]?.[1] === 0xe0 ? rest.shift().slice() : null;
  if (jfif && dpi?.every((value) => value >= 1 && value <= DENSEST)) {
    jfif[11] = 1;
    dpi.forEach((value, i) => view(jfif).setUint16(12 + 2 * i, value));
  }
  if (jfif) parts.push(jfif);
  if (exif) parts.push(segment(0xe1, toAscii(EXIF), exif));
  if (xmp) parts.push(segment(0xe1, toAscii(XMP), xmp));
  const count = icc ? Math.ceil(icc.length / PIECE) : 0;
  for (let i = 0; i < count; i++) {
    const piece = icc.subarray(i * PIECE, (i + 1) * PIECE);
    parts.push(segment(0xe2, toAscii(ICC), Uint8Array.of(i + 1, count), piece));
  }
  return join(...parts, ...rest);
}

/** The bytes of a WebP to { bare, info, animated, loss }. */
export function readWebp(bytes) {
  const info = {}, kept = [];
  let animated = false;
  for (const { kind, content, whole } of riffChunks(bytes)) {
    if (kind === "ICCP") info.icc = content.slice();
    else if (kind === "EXIF") info.exif = withoutPrefix(content);
    else if (kind === "XMP ") info.xmp = content.slice();
    else if (kind === "VP8X") {
      animated = Boolean(content[0] & 2);
      const head = whole.slice();
      head[8] &= ~(EXIF_BIT | XMP_BIT | ICC_BIT);
      kept.push(head);
    } else kept.push(whole);
  }
  const loss = isLossless(bytes) ? undefined : { kind: "lossy WebP" };
  return { bare: [riff(kept)], info, animated, loss };
}

// Whether the pixels, of the first frame if there are several, are stored without loss.
function isLossless(bytes, begin) {
  for (const { kind, content } of riffChunks(bytes, begin)) {
    if (kind === "ANMF") return isLossless(content, FRAME_HEAD);
    if (["VP8 ", "VP8L"].includes(kind)) return kind === "VP8L";
  }
  return false;
}

function withoutPrefix(content) {
  return ascii(content, 0, 6) === EXIF ? content.slice(6) : content.slice();
}

function* riffChunks(bytes, begin = 12) {
  for (let at = begin; at + 8 <= bytes.length; ) {
    const length = view(bytes).getUint32(at + 4, true);
    const end = at + 8 + length + (length & 1);
    yield {
      kind: ascii(bytes, at, 4),
      content: bytes.subarray(at + 8, at + 8 + length),
      whole: bytes.subarray(at, end),
    };
    at = end;
  }
}

function riff(chunks) {
  const body = join(toAscii("WEBP"), ...chunks);
  return join(toAscii("RIFF"), uint32(body.length, true), body);
}

/** The bytes of an encoded WebP of a size with info in it, and no other. */
export function intoWebp(bytes, { exif, xmp, icc }, width, height) {
  const pixels = [...riffChunks(bytes)].filter(({ kind }) => ["ALPH", "VP8 ", "VP8L"].includes(kind));
  const lossless = pixels.find(({ kind }) => kind === "VP8L");
  const alpha = pixels[0].kind === "ALPH" || (lossless && lossless.content[4] & 0x10);
  const chunk = (kind, content) =>
    join(toAscii(kind), uint32(content.length, true), content, new Uint8Array(content.length & 1));
  const bits =
    (alpha ? ALPHA_BIT : 0) | (exif ? EXIF_BIT : 0) | (xmp ? XMP_BIT : 0) | (icc ? ICC_BIT : 0);
  const size = [width - 1, height - 1].map((side) => uint32(side, true).subarray(0, 3));
  const chunks = [chunk("VP8X", join(Uint8Array.of(bits, 0, 0, 0), ...size))];
  if (icc) chunks.push(chunk("ICCP", icc));
  chunks.push(...pixels.map(({ whole }) => whole));
  if (exif) chunks.push(chunk("EXIF", exif));
  if (xmp) chunks.push(chunk("XMP ", xmp));
  return riff(chunks);
}

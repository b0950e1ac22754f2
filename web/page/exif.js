// What of EXIF and XMP holds for the enlarged picture: all but the orientation, which the
// pixels have taken on, the thumbnail, and the size.

import { ascii, view } from "./bytes.js";

const ORIENTATION = 0x0112;
const EXIF_IFD = 0x8769;
const WIDTH = 0xa002;
const HEIGHT = 0xa003;
const SHORT = 3, LONG = 4;

/** The orientation that EXIF states, 1 … 8; 1, upright, when there is none that makes sense. */
export function orientationOf(exif) {
  let found = 1;
  if (exif) walk(exif, (entry) => entry.tag === ORIENTATION && (found = entry.short()));
  return found >= 1 && found <= 8 ? found : 1;
}

/** A copy of EXIF (a TIFF) for upright pixels of another size; undefined if it cannot be read. */
export function exifFor(exif, width, height) {
  if (!exif) return undefined;
  const copy = exif.slice();
  const sound = walk(copy, (entry) => {
    if (entry.tag === ORIENTATION) entry.set(1);
    if (entry.tag === WIDTH) entry.set(width);
    if (entry.tag === HEIGHT) entry.set(height);
  });
  return sound ? copy : undefined;
}

// Visits the entries of the main directory and of the one for EXIF; drops the thumbnail's.
function walk(exif, visit) {
  try {
    const little = ascii(exif, 0, 2) === "II";
    const numbers = view(exif);
    const directory = (at, isMain) => {
      const count = numbers.getUint16(at, little);
      for (let i = 0; i < count; i++) {
        const place = at + 2 + 12 * i;
        const entry = readEntry(numbers, place, little);
        visit(entry);
        if (entry.tag === EXIF_IFD) directory(numbers.getUint32(place + 8, little), false);
      }
      if (isMain) numbers.setUint32(at + 2 + 12 * count, 0, little);
    };
    directory(numbers.getUint32(4, little), true);
    return true;
  } catch {
    return false; // the pixels are none the worse
  }
}

function readEntry(numbers, at, little) {
  return {
    tag: numbers.getUint16(at, little),
    short: () => numbers.getUint16(at + 8, little),
    set(value) {
      const isShort = value < 65536 && numbers.getUint16(at + 2, little) === SHORT;
      numbers.setUint16(at + 2, isShort ? SHORT : LONG, little);
      numbers.setUint32(at + 4, 1, little);
      if (isShort) numbers.setUint16(at + 8, value, little);
      else numbers.setUint32(at + 8, value, little);
    },
  };
}

/** XMP without the orientation, with the size that it states, if it does, corrected. */
export function xmpFor(xmp, width, height) {
  if (!xmp) return undefined;
  const size = (names, length) => (text) =>
    text.replace(new RegExp(`((?:${names})(?:\\s*=\\s*["']|>)\\s*)\\d+`, "g"), `$1${length}`);
  const upright = new TextDecoder()
    .decode(xmp)
    .replace(/\s+tiff:Orientation\s*=\s*(["'])\d\1|<tiff:Orientation>\s*\d\s*<\/tiff:Orientation>/g, "");
  const wide = size("exif:PixelXDimension|tiff:ImageWidth", width)(upright);
  return new TextEncoder().encode(size("exif:PixelYDimension|tiff:ImageLength", height)(wide));
}

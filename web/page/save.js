// Enlarged pictures to files.

import { intoJpeg, intoWebp, LONGEST_PROFILE, tooLong } from "./containers.js";
import { exifFor, xmpFor } from "./exif.js";
import { toRgba } from "./picture.js";
import { readPng, writePng } from "./png.js";

export const ENDINGS = { png: "png", jpeg: "jpg", webp: "webp" };
const QUALITY = 0.95;
const LONGEST = { jpeg: 16384, webp: 16383 }; // pixels a side, for browsers' encoders
const MOST = 268e6; // pixels, for their canvas

/** What is to be said about a picture in a format; empty if it is kept whole. */
export function remarkOn(picture, format) {
  const reason = whyNot(picture, format);
  if (reason) return `${reason}; it will be a PNG.`;
  const long = format === "jpeg" ? tooLong(infoFor(picture)) : [];
  return long.map((key) => `JPEG cannot hold so much ${key.toUpperCase()}, which is left out.`).join(" ");
}

// Why it cannot be saved in a format; empty if it can.
function whyNot({ width, height, channels, bits, info }, format) {
  if (format === "png") return "";
  if (bits === 16) return `${name(format)} cannot hold 16 bits`;
  if (format === "jpeg" && channels % 2 === 0) return "JPEG cannot hold transparency";
  if (format === "jpeg" && info.icc?.length > LONGEST_PROFILE) return "JPEG cannot hold its profile";
  if (Math.max(width, height) > LONGEST[format] || width * height > MOST) {
    return `${name(format)} cannot hold ${width} × ${height} pixels`;
  }
  return "";
}

const name = (format) => ({ jpeg: "JPEG", webp: "WebP", png: "PNG" })[format];

/**
 * A Blob of { width, height, channels, bits, strips, info }; what the format cannot hold is a PNG.
 * In place of its strips, a picture may have `blob`, the PNG that was made of it.
 */
export async function encode(picture, format) {
  const toPng = format === "png" || whyNot(picture, format);
  if (toPng && picture.blob) return picture.blob;
  const { width, height } = picture, info = infoFor(picture);
  const whole = { ...picture, strips: picture.strips ?? (await stripsOf(picture)), info };
  if (toPng) return writePng(whole);
  const blob = await encodeWithBrowser(whole, `image/${format}`);
  if (blob.type !== `image/${format}`) return writePng(whole); // not every browser can
  const bytes = new Uint8Array(await blob.arrayBuffer());
  const made = format === "jpeg" ? intoJpeg(bytes, info) : intoWebp(bytes, info, width, height);
  return new Blob([made], { type: blob.type });
}

const infoFor = ({ width, height, info }) => ({
  ...info, exif: exifFor(info.exif, width, height), xmp: xmpFor(info.xmp, width, height),
});

async function stripsOf({ blob, height }) {
  const { samples } = await readPng(new Uint8Array(await blob.arrayBuffer()));
  return [{ top: 0, rows: height, samples }];
}

function encodeWithBrowser({ width, height, channels, strips }, type) {
  const canvas = new OffscreenCanvas(width, height);
  const context = canvas.getContext("2d");
  for (const { top, rows, samples } of strips) {
    const image = new ImageData(width, rows);
    toRgba(samples, width, channels, { top: 0, bottom: rows, left: 0, right: width }, image.data);
    context.putImageData(image, 0, top);
  }
  return canvas.convertToBlob({ type, quality: QUALITY });
}

/** The name of a result: photo.jpg to photo_x4.png. */
export function resultName(original, scale, type) {
  const stem = original.replace(/\.[^.]*$/, "") || "picture";
  return `${stem}_x${scale}.${ENDINGS[type.replace("image/", "")] ?? "png"}`;
}

/** The same names, none of them twice. */
export function distinct(names) {
  const taken = new Set();
  return names.map((wanted) => {
    const [stem, ending] = wanted.split(/(\.[^.]*$)/);
    let found = wanted;
    for (let i = 2; taken.has(found.toLowerCase()); i++) found = `${stem} (${i})${ending}`;
    taken.add(found.toLowerCase());
    return found;
  });
}

export function download(blob, fileName) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = fileName;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000); // the browser may still be reading
}

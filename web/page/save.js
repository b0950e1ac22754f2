// Enlarged pictures to files.

import { intoJpeg, intoWebp } from "./containers.js";
import { exifFor, xmpFor } from "./exif.js";
import { toRgba } from "./picture.js";
import { writePng } from "./png.js";

export const ENDINGS = { png: "png", jpeg: "jpg", webp: "webp" };
const QUALITY = 0.95;
const LONGEST = { jpeg: 16384, webp: 16383 }; // pixels a side, for browsers' encoders
const MOST = 268e6; // pixels, for their canvas

/** Why a picture cannot be saved in a format; empty if it can. */
export function whyNot({ width, height, channels, strips }, format) {
  if (format === "png") return "";
  if (strips[0].samples.BYTES_PER_ELEMENT === 2) return `${name(format)} cannot hold 16 bits`;
  if (format === "jpeg" && channels % 2 === 0) return "JPEG cannot hold transparency";
  if (Math.max(width, height) > LONGEST[format] || width * height > MOST) {
    return `${name(format)} cannot hold ${width} × ${height} pixels`;
  }
  return "";
}

const name = (format) => ({ jpeg: "JPEG", webp: "WebP", png: "PNG" })[format];

/** A Blob of { width, height, channels, strips, info }; what the format cannot hold is a PNG. */
export async function encode(picture, format, progress) {
  const { width, height } = picture;
  const info = {
    ...picture.info,
    exif: exifFor(picture.info.exif, width, height),
    xmp: xmpFor(picture.info.xmp, width, height),
  };
  if (format === "png" || whyNot(picture, format)) return writePng({ ...picture, info }, progress);
  const blob = await encodeWithBrowser(picture, `image/${format}`);
  if (blob.type !== `image/${format}`) return writePng({ ...picture, info }, progress);
  const bytes = new Uint8Array(await blob.arrayBuffer());
  const whole = format === "jpeg" ? intoJpeg(bytes, info) : intoWebp(bytes, info, width, height);
  return new Blob([whole], { type: blob.type });
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

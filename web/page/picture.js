// Picture files to pixels: { width, height, channels, samples, info, format, loss }, upright.
// loss is what the encoding took away: { kind, quality }, undefined if nothing.
// Samples have 8 or 16 bits; channels are grey, grey and alpha, RGB or RGBA.

import { isJpeg, isWebp, lossOfOther, readJpeg, readWebp } from "./containers.js";
import { exifFor, orientationOf } from "./exif.js";
import { isPng, pngSize, readPng } from "./png.js";

const MOST = 179e6; // pixels: a few kilobytes can unpack to gigabytes

/** Reads a File; an Error says in a sentence what is wrong with it. */
export async function readPicture(file) {
  const bytes = new Uint8Array(await file.arrayBuffer());
  if (!bytes.length) throw new Error("the file is empty");
  if (isPng(bytes)) return upright({ ...(await readSized(bytes)), format: "png" });
  if (isJpeg(bytes)) return upright(await readWithBrowser(readJpeg(bytes), "jpeg"));
  if (isWebp(bytes)) return upright(await readWithBrowser(readWebp(bytes), "webp"));
  const other = { bare: [bytes], info: {}, loss: lossOfOther(bytes) };
  return readWithBrowser(other, file.type.replace("image/", "") || "png");
}

function readSized(bytes) {
  if (bytes.length < 33) throw new Error("the PNG is not complete");
  const { width, height } = pngSize(bytes);
  checkSize(width, height);
  return readPng(bytes);
}

function checkSize(width, height) {
  if (width * height > MOST) {
    throw new Error(`${Math.round((width * height) / 1e6)} megapixels are too many; the most are 179`);
  }
}

// Its info is taken off, so the browser neither turns the pixels nor matches their colours.
async function readWithBrowser({ bare, info, channels, width, height, animated, loss }, format) {
  if (width) checkSize(width, height);
  const blob = new Blob(bare, { type: `image/${format}` });
  const rgba = await decode(blob);
  checkSize(rgba.width, rgba.height);
  return { ...drop(rgba, channels === 1), info, format, animated, loss };
}

async function decode(blob) {
  let bitmap;
  try {
    bitmap = await createImageBitmap(blob, { premultiplyAlpha: "none" });
  } catch {
    throw new Error("not a picture that this browser can read, or a damaged one");
  }
  const { width, height } = bitmap;
  const context = new OffscreenCanvas(width, height).getContext("2d", { willReadFrequently: true });
  context.drawImage(bitmap, 0, 0);
  bitmap.close();
  return { width, height, samples: context.getImageData(0, 0, width, height).data };
}

// Without the alpha of what is opaque, and without the colours of grey.
function drop({ width, height, samples }, grey) {
  let opaque = true;
  for (let i = 3; opaque && i < samples.length; i += 4) opaque = samples[i] === 255;
  const channels = grey ? 1 : opaque ? 3 : 4;
  const kept = new Uint8Array(width * height * channels);
  for (let i = 0, from = 0; i < kept.length; i += channels, from += 4) {
    for (let c = 0; c < channels; c++) kept[i + c] = samples[from + c];
  }
  return { width, height, channels, samples: kept };
}

function upright(picture) {
  const orientation = orientationOf(picture.info.exif);
  const info = { ...picture.info, exif: exifFor(picture.info.exif, 0, 0) && picture.info.exif };
  return { ...turn(picture, orientation), info };
}

/** Undoes an EXIF orientation: 1 is upright, from 5 on rows and columns change places. */
export function turn(picture, orientation) {
  if (orientation === 1) return picture;
  const { width, height, channels, samples } = picture;
  const swapped = orientation >= 5;
  const [mirrorRows, mirrorColumns] = [[0, 0], [0, 1], [1, 1], [1, 0]][(orientation - 1) % 4];
  const [wide, high] = swapped ? [height, width] : [width, height];
  const turned = new samples.constructor(samples.length);
  for (let y = 0, to = 0; y < high; y++) {
    const v = mirrorRows ? high - 1 - y : y;
    for (let x = 0; x < wide; x++, to += channels) {
      const u = mirrorColumns ? wide - 1 - x : x;
      const from = (swapped ? u * width + v : v * width + u) * channels;
      for (let c = 0; c < channels; c++) turned[to + c] = samples[from + c];
    }
  }
  return { ...picture, width: wide, height: high, samples: turned };
}

/** Part of samples as RGBA of 8 bits, for the screen: rows from top on, columns from left on. */
export function toRgba(samples, width, channels, { top, bottom, left, right }, rgba, at = 0) {
  const shift = samples.BYTES_PER_ELEMENT === 2 ? 8 : 0;
  const [green, blue] = channels < 3 ? [0, 0] : [1, 2];
  const alpha = channels % 2 ? -1 : channels - 1;
  for (let y = top; y < bottom; y++) {
    let from = (y * width + left) * channels;
    for (let x = left; x < right; x++, from += channels, at += 4) {
      rgba[at] = samples[from] >> shift;
      rgba[at + 1] = samples[from + green] >> shift;
      rgba[at + 2] = samples[from + blue] >> shift;
      rgba[at + 3] = alpha < 0 ? 255 : samples[from + alpha] >> shift;
    }
  }
}

// Pieces of binary files.

export const ascii = (bytes, at, length) => String.fromCharCode(...bytes.subarray(at, at + length));
export const toAscii = (text) => Uint8Array.from(text, (c) => c.charCodeAt(0));
export const view = (bytes) => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);

export function join(...parts) {
  const joined = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    joined.set(part, at);
    at += part.length;
  }
  return joined;
}

export function uint32(value, littleEndian = false) {
  const bytes = new Uint8Array(4);
  view(bytes).setUint32(0, value, littleEndian);
  return bytes;
}

export function uint16(value, littleEndian = false) {
  const bytes = new Uint8Array(2);
  view(bytes).setUint16(0, value, littleEndian);
  return bytes;
}

const TABLE = Uint32Array.from({ length: 256 }, (_, n) => {
  for (let k = 0; k < 8; k++) n = n & 1 ? (n >>> 1) ^ 0xedb88320 : n >>> 1;
  return n;
});

/** CRC-32 of bytes, going on from that of those before. */
export function crc32(bytes, before = 0) {
  let crc = ~before;
  for (let i = 0; i < bytes.length; i++) crc = (crc >>> 8) ^ TABLE[(crc ^ bytes[i]) & 255];
  return ~crc >>> 0;
}

async function through(stream, parts) {
  const response = new Response(new Blob(parts).stream().pipeThrough(stream));
  return new Uint8Array(await response.arrayBuffer());
}

/** Bytes of zlib, made of an array of parts of what they hold, or back. */
export const deflate = (parts) => through(new CompressionStream("deflate"), parts);
export const inflate = (parts) => through(new DecompressionStream("deflate"), parts);

// Several files in one: ZIP without compression, which pictures have already.
//
// PKWARE, "APPNOTE.TXT - .ZIP File Format Specification".

import { crc32, join, uint16, uint32 } from "./bytes.js";

const UTF8 = 1 << 11;
const MOST = 0xffffffff; // bytes, and 65535 files: beyond lies ZIP64

/** A Blob of [{ name, blob }]. */
export async function zip(files, date = new Date()) {
  const parts = [], directory = [];
  let at = 0;
  for (const { name, blob } of files) {
    const title = new TextEncoder().encode(name);
    const fields = header(title, await checksum(blob), blob.size, date);
    const local = join(uint32(0x04034b50, true), fields, title);
    const rest = new Uint8Array(10); // comment, disk and attributes: none
    directory.push(join(uint32(0x02014b50, true), uint16(20, true), fields, rest, uint32(at, true), title));
    parts.push(local, blob);
    at += local.length + blob.size;
  }
  const listed = join(...directory);
  if (at + listed.length > MOST || files.length > 65535) {
    throw new Error("more than a ZIP file holds; save into a folder instead");
  }
  const [count, size, place] = [uint16(files.length, true), uint32(listed.length, true), uint32(at, true)];
  const end = join(uint32(0x06054b50, true), uint32(0), count, count, size, place, uint16(0));
  return new Blob([...parts, listed, end], { type: "application/zip" });
}

function header(title, checksum, size, date) {
  const time = (date.getHours() << 11) | (date.getMinutes() << 5) | (date.getSeconds() >> 1);
  const day = ((date.getFullYear() - 1980) << 9) | ((date.getMonth() + 1) << 5) | date.getDate();
  return join(
    ...[20, UTF8, 0, time, day].map((value) => uint16(value, true)),
    ...[checksum, size, size].map((value) => uint32(value, true)),
    uint16(title.length, true),
    uint16(0),
  );
}

async function checksum(blob) {
  let crc = 0;
  const reader = blob.stream().getReader();
  for (let step = await reader.read(); !step.done; step = await reader.read()) {
    crc = crc32(step.value, crc);
  }
  return crc;
}

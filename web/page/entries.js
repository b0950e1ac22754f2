// The list of pictures, and what is to be said about the one that is looked at.

import { toRgba } from "./picture.js";

const $ = (id) => document.getElementById(id);
const sizeOf = ({ width, height }) => `${width} × ${height}`;
const megapixels = ({ width, height }) => {
  const millions = (width * height) / 1e6;
  return `${millions.toFixed(millions < 1 ? 2 : 1)} MP`;
};

const inWords = ({ seconds }) => `${seconds.toFixed(seconds < 10 ? 2 : 0)} s`;

/** Makes or brings up to date an item's line of the list; returns its element. */
export function showEntry(item, { pick, remove } = {}, current = false) {
  const entry = item.entry ?? makeEntry(item, pick, remove);
  entry.querySelector("small").textContent = stateOf(item);
  entry.querySelector(".part").style.width =
    item.state === "running" ? `${(item.progress ?? 0) * 100}%` : "0";
  entry.classList.toggle("failed", item.state === "failed");
  if (current) entry.setAttribute("aria-current", "true");
  else entry.removeAttribute("aria-current");
  if (item.picture && !item.drawn) drawThumbnail(item, entry.querySelector("canvas"));
  return entry;
}

function makeEntry(item, pick, remove) {
  const entry = $("entry").content.firstElementChild.cloneNode(true);
  entry.querySelector("b").textContent = item.file.name;
  entry.querySelector(".pick").addEventListener("click", () => pick(item));
  const button = entry.querySelector(".remove");
  button.setAttribute("aria-label", `Remove ${item.file.name}`);
  button.addEventListener("click", () => remove(item));
  $("list").append(entry);
  return entry;
}

function stateOf(item) {
  switch (item.state) {
    case "waiting": return "waiting";
    case "running": return `enlarging, ${Math.round((item.progress ?? 0) * 100)} %`;
    case "failed": return item.error;
    case "cancelled": return "cancelled";
    default: return `${sizeOf(item.result)}${item.result.saved ? ", saved" : ""}`;
  }
}

function drawThumbnail(item, canvas) {
  const { width, height, channels, samples } = item.picture;
  const side = Math.min(width, height);
  const [left, top] = [(width - side) >> 1, (height - side) >> 1];
  const image = new ImageData(canvas.width, canvas.height);
  for (let y = 0; y < canvas.height; y++) {
    const v = top + Math.floor((y * side) / canvas.height);
    for (let x = 0; x < canvas.width; x++) {
      const u = left + Math.floor((x * side) / canvas.width);
      const pixel = { top: v, bottom: v + 1, left: u, right: u + 1 };
      toRgba(samples, width, channels, pixel, image.data, (y * canvas.width + x) * 4);
    }
  }
  canvas.getContext("2d").putImageData(image, 0, 0);
  item.drawn = true;
}

/** Size before and after, and the time it took. */
export function showFacts(item) {
  $("facts").hidden = !item?.picture;
  if (!item?.picture) return;
  $("from").textContent = `${sizeOf(item.picture)}, ${megapixels(item.picture)}`;
  $("to").textContent = item.result ? `${sizeOf(item.result)}, ${megapixels(item.result)}` : "…";
  $("time").textContent = item.result ? inWords(item.result) : "…";
}

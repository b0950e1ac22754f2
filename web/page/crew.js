// Workers that share out the tiles of a picture.

import { engineFile } from "./engine.js";
import { readModel } from "./model.js";
import { cut, planTiles } from "./tiles.js";
import { fillTransparent } from "./transparency.js";

const MARGIN = 4; // input pixels each way that chroma looks at
const MOST_WORKERS = 16;

export class Cancelled extends Error {}

const fetched = new Map();

function fetchOnce(name, read) {
  if (!fetched.has(name)) {
    const promise = fetch(name).then((response) => {
      if (!response.ok) throw new Error(`${name} cannot be fetched (${response.status})`);
      return read(response);
    });
    promise.catch(() => fetched.delete(name)); // to try again
    fetched.set(name, promise);
  }
  return fetched.get(name);
}

// Hosts may undo the compression on the way.
async function unpack(response) {
  const bytes = await response.arrayBuffer();
  const [first, second] = new Uint8Array(bytes);
  if (first !== 0x1f || second !== 0x8b) return bytes;
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Response(stream).arrayBuffer();
}

const compile = async (response) => WebAssembly.compile(await unpack(response));

/** Fetches and compiles what a first picture will need. */
export function prepare(network, scale, fast = false) {
  return Promise.all([
    fetchOnce(engineFile(fast), compile),
    fetchOnce(`${network}-x${scale}.model.gz`, unpack),
  ]);
}

/** Several engines of one network; cancel ends them at once, and they start anew when needed. */
export class Crew {
  #workers = [];
  #module;
  #model;
  #cancel = () => {};

  constructor(size = navigator.hardwareConcurrency || 2) {
    this.size = Math.min(size, MOST_WORKERS);
  }

  /**
   * { width, height, channels, samples } to the same, with `strips` of rows in place of samples:
   * each { top, rows, samples }, and with the `bits` of a sample. progress(done, all): input
   * pixels. Rejects with Cancelled.
   */
  async enlarge(picture, network, scale, { fast = false, progress = () => {} } = {}) {
    const files = prepare(network, scale, fast);
    const cancelled = new Promise((_, reject) => {
      this.#cancel = () => reject(new Cancelled("cancelled"));
    });
    cancelled.catch(() => {});
    try {
      const [module, model] = await Promise.race([files, cancelled]);
      return await Promise.race([this.#run(picture, module, model, progress), cancelled]);
    } catch (error) {
      this.dismiss();
      throw error;
    }
  }

  /** Starts the workers before there is work. */
  async warm(network, scale) {
    const files = await prepare(network, scale).catch(() => null); // said when there is work
    if (files && !this.#workers.length) await this.#hire(this.size, ...files);
  }

  cancel() {
    this.dismiss();
    this.#cancel();
  }

  dismiss() {
    for (const worker of this.#workers) worker.terminate();
    this.#workers = [];
  }

  async #run(picture, module, file, progress) {
    const { scale, halo: reach } = readModel(file);
    const halo = Math.max(reach, MARGIN);
    const { width, height, channels } = picture;
    const samples = fillTransparent(picture, halo + 1); // its rim shows a little
    const tiles = planTiles(height, width, halo, this.size);
    const result = newResult(picture, scale, tiles);
    let done = 0;
    const next = async (worker) => {
      for (let tile = tiles.shift(); tile; tile = tiles.shift()) {
        const part = cut(samples, width, channels, tile.outer);
        place(result, await ask(worker, { ...tile, channels, samples: part }, part), scale);
        done += (tile.core.bottom - tile.core.top) * (tile.core.right - tile.core.left);
        progress(done, width * height);
      }
    };
    const workers = await this.#hire(Math.min(this.size, tiles.length), module, file);
    await Promise.all(workers.map(next));
    return result;
  }

  async #hire(count, module, model) {
    if (module !== this.#module || model !== this.#model) this.dismiss();
    [this.#module, this.#model] = [module, model];
    const missing = Math.max(count - this.#workers.length, 0);
    const hired = Array.from({ length: missing }, () => new Worker("worker.js", { type: "module" }));
    this.#workers.push(...hired);
    await Promise.all(hired.map((worker) => ask(worker, { module, model })));
    return this.#workers.slice(0, count);
  }
}

// One question at a time: the answer to the one before comes first.
function ask(worker, message, moved) {
  const put = () =>
    new Promise((resolve, reject) => {
      worker.onmessage = ({ data }) => (data.error ? reject(new Error(data.error)) : resolve(data));
      worker.onerror = (event) => reject(new Error(event.message || "a worker could not be started"));
      worker.postMessage(message, moved ? [moved.buffer] : []);
    });
  return (worker.asked = worker.asked ? worker.asked.then(put, put) : put());
}

function newResult({ width, height, channels, samples, info }, scale, tiles) {
  const bands = new Map(tiles.map(({ core }) => [core.top, core.bottom]));
  const strips = Array.from(bands, ([top, bottom]) => {
    const rows = (bottom - top) * scale;
    return {
      top: top * scale,
      rows,
      samples: new samples.constructor(rows * width * scale * channels),
    };
  });
  const bits = samples.BYTES_PER_ELEMENT * 8;
  return { width: width * scale, height: height * scale, channels, bits, strips, info };
}

function place({ strips, width, channels }, { samples, core }, scale) {
  const strip = strips.find(({ top }) => top === core.top * scale);
  const row = (core.right - core.left) * scale * channels;
  for (let y = 0; y < strip.rows; y++) {
    const at = y * width * channels + core.left * scale * channels;
    strip.samples.set(samples.subarray(y * row, (y + 1) * row), at);
  }
}

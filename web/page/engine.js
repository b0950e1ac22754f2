// The engine: WebAssembly that runs a model on a tile.

import { CHROMA, MERGING, inputsOf, phases } from "./model.js";

// f(a, b, c) = a * b + c with the relaxed instruction for it, which may or may not round twice.
const PROBE = new Uint8Array([
  0, 97, 115, 109, 1, 0, 0, 0, 1, 8, 1, 96, 3, 125, 125, 125, 1, 125, 3, 2, 1, 0, 7, 5, 1, 1, 102,
  0, 0, 10, 22, 1, 20, 0, 32, 0, 253, 19, 32, 1, 253, 19, 32, 2, 253, 19, 253, 133, 2, 253, 31, 0,
  11,
]);

/** The file of the fastest engine that computes the right bits in this browser, or, where that
 * takes its time, of one that does not quite. */
export function engineFile(fast = false) {
  if (isQuick()) return "engine-relaxed.wasm.gz";
  return fast ? "engine-fast.wasm.gz" : "engine.wasm.gz";
}

let fused;

/** Whether this browser multiplies and adds in one step, so that exactness costs nothing. */
export function isQuick() {
  return (fused ??= fuses());
}

function fuses() {
  if (!WebAssembly.validate(PROBE)) return false;
  const { f } = new WebAssembly.Instance(new WebAssembly.Module(PROBE)).exports;
  const e = 1 / 4096;
  return f(1 + e, 1 - e, -1) === -e * e; // 0 where the product is rounded first
}

/** One network, ready to enlarge tiles; not more than one at a time. */
export class Engine {
  #exports;
  #enlarger;
  #failure = "";

  /** module: a compiled WebAssembly.Module; model: of readModel. */
  constructor(module, model) {
    this.scale = model.scale;
    const instance = new WebAssembly.Instance(module, this.#imports(module));
    this.#exports = instance.exports;
    this.#exports._initialize();
    this.#enlarger = this.#call(() => this.#describe(model));
  }

  /** (height, width, channels) of 8 or 16 bits to scale times as many each way. */
  enlarge(samples, height, width, channels) {
    return this.#call(() => {
      const bytes = samples.BYTES_PER_ELEMENT;
      const size = samples.length * this.scale ** 2;
      const from = this.#copy(samples);
      const to = this.#allocate(size * bytes);
      const enlarge = bytes === 2 ? this.#exports.enlarge16 : this.#exports.enlarge8;
      enlarge(this.#enlarger, from, height, width, channels, to);
      const result = new samples.constructor(this.#memory(), to, size).slice();
      for (const place of [from, to]) this.#exports.release(place);
      return result;
    });
  }

  #memory() {
    return this.#exports.memory.buffer; // another one whenever it has grown
  }

  #call(work) {
    try {
      return work();
    } catch (error) {
      throw new Error(this.#failure || error.message || "the engine failed");
    }
  }

  // The C++ library asks for a system; the engine needs none of it.
  #imports(module) {
    const imports = {};
    for (const { module: from, name } of WebAssembly.Module.imports(module)) {
      (imports[from] ??= {})[name] = () => 0;
    }
    imports.page.fail = (message) => (this.#failure = this.#read(message));
    return imports;
  }

  #read(place) {
    const bytes = new Uint8Array(this.#memory(), place);
    return new TextDecoder().decode(bytes.slice(0, bytes.indexOf(0)));
  }

  #allocate(bytes) {
    const place = this.#exports.allocate(bytes);
    if (!place) throw new Error("not enough memory");
    return place;
  }

  #copy(array) {
    const place = this.#allocate(array.byteLength);
    const bytes = new Uint8Array(array.buffer, array.byteOffset, array.byteLength);
    new Uint8Array(this.#memory(), place).set(bytes);
    return place;
  }

  // Tells the engine each operation in turn; values go by number from here on.
  #describe(model) {
    const network = this.#exports.begin(model.scale);
    const numbers = new Map([["luma", 0]]);
    for (const operation of model.operations) {
      const inputs = inputsOf(operation).map((name) => numbers.get(name));
      numbers.set(operation.name, this.#append(network, model, operation, inputs));
    }
    const window = model.damaged ? CHROMA.damaged : CHROMA.sharp;
    const tables = [phases(model.scale), MERGING, window].map((table) => this.#copy(table));
    const enlarger = this.#exports.finish(
      network, ...tables, window.length, ...CHROMA.floors, model.damaged,
    );
    for (const place of tables) this.#exports.release(place);
    return enlarger;
  }

  #append(network, model, operation, inputs) {
    const places = [];
    const put = (array) => (places.push(this.#copy(array)), places.at(-1));
    const text = (string) => put(new TextEncoder().encode(`${string}\0`));
    const tensors = (...parts) =>
      parts.flatMap((part) => {
        const bytes = model.tensor(`${operation.name}.${part}`);
        return [put(bytes), bytes.length / sizeOf(operation, part)];
      });
    const number = this.#exports[operation.op](
      network, ...argumentsOf(operation, inputs, { put, text, tensors }),
    );
    for (const place of places) this.#exports.release(place);
    return number;
  }
}

/** Bytes of a number of a tensor. */
function sizeOf(operation, part) {
  if (part !== "weight") return 4;
  return { binary_convolution: 1, quantized_convolution: 2 }[operation.op] ?? 4;
}

function argumentsOf(operation, inputs, { put, text, tensors }) {
  const { channels, kernel, factor } = operation;
  switch (operation.op) {
    case "convolution":
      return [...inputs, channels, kernel, ...tensors("weight", "bias")];
    case "quantized_convolution":
      return [
        ...inputs, channels, kernel, ...tensors("weight", "levels", "scale", "bias"),
      ];
    case "binary_convolution":
      return [
        ...inputs, channels, kernel, text(operation.skip), text(operation.activation),
        ...tensors("weight", "scale", "shift", "slope", "offset"),
      ];
    case "add":
      return inputs;
    case "concatenate":
      return [put(new Int32Array(inputs)), inputs.length];
    case "pixel_shuffle":
      return [...inputs, factor];
    case "bicubic": {
      const table = phases(factor);
      return [...inputs, factor, put(table), table.length];
    }
    case "channel_attention":
      return [
        ...inputs, operation.squeeze, operation.window,
        ...tensors("down", "down_bias", "up", "up_bias"),
      ];
    default:
      throw new Error(`the engine has nothing for ${operation.op}`);
  }
}

// Model files: a program and its tensors in one .safetensors, as bnnup.model.file describes them,
// but with every fourth byte of the tensors together, as web/build.py writes them.

const TAPS = 5; // an enlarged pixel reads input pixels −2 … +2 around its own

// Shares of Cr in red and green, of Cb in green and blue, as in bnnup.pixels.color.
const f = Math.fround;
const [KR, KG, KB] = [f(0.299), f(0.587), f(0.114)];
const [CB_SPAN, CR_SPAN] = [f(2 * (1 - 0.114)), f(2 * (1 - 0.299))];
export const MERGING = new Float32Array([
  CR_SPAN, f(f(CR_SPAN * KR) / KG), f(f(CB_SPAN * KB) / KG), CB_SPAN,
]);

// Chroma that follows luma, as in bnnup.pixels.chroma: the weights of a window each way, and the
// variances of luma and chroma that are too little to lead or to be led.
const window = (...weights) => {
  const sum = weights.reduce((a, b) => a + b);
  return new Float32Array(weights.map((weight) => weight / sum));
};
export const CHROMA = {
  sharp: window(1, 2, 1),
  damaged: window(1, 2, 3, 2, 1),
  floors: [1e-4, 1e-5],
};

/** The bytes of a model file to { scale, operations, tensor(name), halo, damaged }. */
export function readModel(bytes) {
  const length = Number(new DataView(bytes).getBigUint64(0, true));
  const header = JSON.parse(new TextDecoder().decode(new Uint8Array(bytes, 8, length)));
  const { format, format_version: version, program, about } = header.__metadata__ ?? {};
  if (format !== "bnnup" || version !== "1") throw new Error("not a model that this page reads");
  const { scale, operations } = JSON.parse(program);
  const tensors = inOrder(new Uint8Array(bytes, 8 + length));
  const tensor = (name) => {
    if (!header[name]) return new Uint8Array(0);
    const [begin, end] = header[name].data_offsets;
    return tensors.subarray(begin, end);
  };
  const damaged = JSON.parse(about ?? "{}").trained_for === "real";
  return { scale, operations, tensor, halo: haloOf(operations), damaged };
}

/** Bytes of which every fourth lie together, as they were before. */
function inOrder(bytes) {
  const result = new Uint8Array(bytes.length);
  let from = 0;
  for (let place = 0; place < 4; place++) {
    for (let to = place; to < bytes.length; to += 4) result[to] = bytes[from++];
  }
  return result;
}

/** Input pixels around a tile, each way, that its result depends on. */
function haloOf(operations) {
  const values = new Map([["luma", { factor: 1, radius: 0 }]]);
  let last;
  for (const operation of operations) {
    const inputs = inputsOf(operation).map((name) => values.get(name));
    last = look(operation, inputs);
    values.set(operation.name, last);
  }
  return Math.ceil(last.radius - 1e-9); // sums of fractions, which a double does not hold
}

function look(operation, inputs) {
  const factor = inputs[0].factor;
  const radius = Math.max(...inputs.map((value) => value.radius));
  switch (operation.op) {
    case "convolution":
    case "quantized_convolution":
    case "binary_convolution":
      return { factor, radius: radius + Math.floor(operation.kernel / 2) / factor };
    case "channel_attention":
      return { factor, radius: radius + Math.floor(operation.window / 2) / factor };
    case "bicubic":
      return { factor: factor * operation.factor, radius: radius + 2 / factor };
    case "pixel_shuffle":
      return { factor: factor * operation.factor, radius };
    default:
      return { factor, radius };
  }
}

/** The names of the values that an operation reads. */
export function inputsOf(operation) {
  if (operation.op === "add") return [operation.left, operation.right];
  if (operation.op === "concatenate") return operation.parts;
  return [operation.input];
}

/** (factor, 5) float32: weights of input pixels −2 … +2 for each place within a pixel. */
export function phases(factor) {
  const weights = new Float32Array(factor * TAPS);
  for (let place = 0; place < factor; place++) {
    const offset = (place + 0.5) / factor - 0.5;
    for (let tap = 0; tap < TAPS; tap++) weights[place * TAPS + tap] = cubic(offset - (tap - 2));
  }
  return weights;
}

/** Keys' kernel with a = −0.5; zero outside |x| < 2. */
function cubic(x) {
  x = Math.abs(x);
  if (x <= 1) return 1.5 * x ** 3 - 2.5 * x ** 2 + 1;
  return x < 2 ? -0.5 * x ** 3 + 2.5 * x ** 2 - 4 * x + 2 : 0;
}

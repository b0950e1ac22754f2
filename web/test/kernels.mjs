// Runs the engine's own tests, compiled to WebAssembly: node kernels.mjs test.wasm

import { readFileSync } from "node:fs";
import { WASI } from "node:wasi";

const wasi = new WASI({ version: "preview1" });
let memory;
const fail = (message) => {
  const bytes = new Uint8Array(memory.buffer, message);
  console.error(new TextDecoder().decode(bytes.slice(0, bytes.indexOf(0))));
};
const module = await WebAssembly.compile(readFileSync(process.argv[2]));
// A call that goes to the system at once may collect garbage where V8 does not expect it
// (https://github.com/nodejs/node/issues/46777).
const calls = {};
for (const [name, call] of Object.entries(wasi.wasiImport)) calls[name] = (...given) => call(...given);
const imports = { wasi_snapshot_preview1: calls, page: { fail } };
const instance = await WebAssembly.instantiate(module, imports);
memory = instance.exports.memory;
process.exitCode = wasi.start(instance);

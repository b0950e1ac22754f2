// One engine, which enlarges tile by tile.

import { Engine } from "./engine.js";
import { readModel } from "./model.js";
import { cut, within } from "./tiles.js";

let engine;

function answer({ data }) {
  if (data.module) {
    engine = new Engine(data.module, readModel(data.model));
    return { ready: true };
  }
  const { samples, channels, core, outer } = data;
  const [height, width] = [outer.bottom - outer.top, outer.right - outer.left];
  const enlarged = engine.enlarge(samples, height, width, channels);
  const wanted = within(core, outer, engine.scale);
  return { samples: cut(enlarged, width * engine.scale, channels, wanted), core };
}

self.onmessage = (event) => {
  try {
    const result = answer(event);
    self.postMessage(result, result.samples ? [result.samples.buffer] : []);
  } catch (error) {
    self.postMessage({ error: error.message });
  }
};

// Before and after, side by side under one divider: zoom to pixels, pan, compare.

import { toRgba } from "./picture.js";

const OVERVIEW = 2048; // pixels of the longer side of what small views are drawn from
const MOST_ZOOM = 16; // screen pixels for a pixel of the result
const NEAR = 28; // CSS pixels from the divider at which a finger means it

export class Viewer {
  #canvas;
  #slider;
  #divider;
  #onZoom;
  #before = null; // an OffscreenCanvas
  #after = null; // { width, height, channels, strips, overview }
  #clear = false; // whether there is transparency
  #view = { zoom: 1, x: 0, y: 0 }; // screen pixels a pixel; the pixel in the middle
  #fits = true;
  #pointers = new Map();
  #slides = false;

  constructor({ stage, canvas, slider, divider, onZoom }) {
    this.#canvas = canvas;
    this.#slider = slider;
    this.#divider = divider;
    this.#onZoom = onZoom;
    slider.addEventListener("input", () => this.#draw());
    canvas.addEventListener("wheel", (event) => this.#wheel(event), { passive: false });
    stage.addEventListener("keydown", (event) => this.#key(event));
    for (const [name, listener] of [
      ["pointerdown", this.#down], ["pointermove", this.#move],
      ["pointerup", this.#up], ["pointercancel", this.#up],
    ]) stage.addEventListener(name, listener.bind(this));
    canvas.addEventListener("dblclick", () => (this.#fits ? this.setZoom(1) : this.fit()));
    new ResizeObserver(() => this.#resize()).observe(canvas);
  }

  /** Shows a picture { width, height, channels, samples }, and what became of it, if anything. */
  show(picture, result) {
    const size = (of) => of && `${of.width}×${of.height}`;
    const same = size(this.#after ?? this.#before) === size(result ?? picture);
    this.#before = picture && (picture.preview ??= paint(picture));
    this.#after = result ?? null;
    this.#clear = picture?.channels % 2 === 0;
    this.#divider.hidden = this.#slider.hidden = !result;
    if (same && !this.#fits) this.#draw();
    else this.fit();
  }

  fit() {
    this.#fits = true;
    const { width, height } = this.#size();
    const zoom = Math.min(this.#canvas.width / width, this.#canvas.height / height);
    const most = this.#after ? 1 : devicePixelRatio;
    this.#view = { zoom: Math.min(zoom, most), x: width / 2, y: height / 2 };
    this.#draw();
  }

  /** zoom: screen pixels for a pixel of the result. */
  setZoom(zoom, x = this.#canvas.width / 2, y = this.#canvas.height / 2) {
    const { width, height } = this.#canvas;
    const before = this.#view;
    const least = Math.min(width / this.#size().width, height / this.#size().height, 1) / 2;
    zoom = Math.min(Math.max(zoom, least), MOST_ZOOM);
    const [dx, dy] = [x - width / 2, y - height / 2]; // what is there stays there
    this.#view = {
      zoom, x: before.x + dx / before.zoom - dx / zoom, y: before.y + dy / before.zoom - dy / zoom,
    };
    this.#fits = false;
    this.#hold();
    this.#draw();
  }

  zoomBy(factor) {
    this.setZoom(this.#view.zoom * factor);
  }

  #size() {
    return this.#after ?? this.#before ?? { width: 1, height: 1 };
  }

  // Keeps some of the picture in view.
  #hold() {
    const { width, height } = this.#size();
    const within = (value, length, shown) =>
      shown >= length ? length / 2 : Math.min(Math.max(value, shown / 2), length - shown / 2);
    this.#view.x = within(this.#view.x, width, this.#canvas.width / this.#view.zoom);
    this.#view.y = within(this.#view.y, height, this.#canvas.height / this.#view.zoom);
  }

  #resize() {
    const { clientWidth, clientHeight } = this.#canvas;
    if (!clientWidth) return; // hidden
    this.#canvas.width = Math.round(clientWidth * devicePixelRatio);
    this.#canvas.height = Math.round(clientHeight * devicePixelRatio);
    if (this.#fits) this.fit();
    else this.#draw();
  }

  #pan(dx, dy) {
    this.#view.x -= dx / this.#view.zoom;
    this.#view.y -= dy / this.#view.zoom;
    this.#hold();
    this.#draw();
  }

  #place(event) {
    const box = this.#canvas.getBoundingClientRect();
    return [(event.clientX - box.left) * devicePixelRatio, (event.clientY - box.top) * devicePixelRatio];
  }

  #wheel(event) {
    event.preventDefault();
    this.setZoom(this.#view.zoom * Math.exp(-event.deltaY / 400), ...this.#place(event));
  }

  #key(event) {
    const step = 80 * devicePixelRatio;
    const actions = {
      "+": () => this.zoomBy(1.5), "=": () => this.zoomBy(1.5), "-": () => this.zoomBy(1 / 1.5),
      0: () => this.fit(), 1: () => this.setZoom(1),
      ArrowUp: () => this.#pan(0, step), ArrowDown: () => this.#pan(0, -step),
    };
    if (event.target !== this.#slider) {
      actions.ArrowLeft = () => this.#pan(step, 0);
      actions.ArrowRight = () => this.#pan(-step, 0);
    }
    if (!actions[event.key] || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    actions[event.key]();
  }

  #down(event) {
    if (!(event.target === this.#canvas || this.#divider.contains(event.target))) return;
    this.#canvas.setPointerCapture(event.pointerId);
    const [x, y] = this.#place(event);
    this.#pointers.set(event.pointerId, [x, y]);
    const near = Math.abs(x - this.#split()) < NEAR * devicePixelRatio;
    this.#slides = this.#after && this.#pointers.size === 1 && (near || this.#fits);
    if (this.#slides) this.#slide(x);
  }

  #move(event) {
    const before = this.#pointers.get(event.pointerId);
    if (!before) return;
    const now = this.#place(event);
    if (this.#slides) this.#slide(now[0]);
    else if (this.#pointers.size === 1) this.#pan(now[0] - before[0], now[1] - before[1]);
    else this.#pinch(event.pointerId, before, now);
    this.#pointers.set(event.pointerId, now);
  }

  #pinch(id, before, now) {
    const [, other] = [...this.#pointers].find(([key]) => key !== id);
    const apart = ([x, y]) => Math.hypot(x - other[0], y - other[1]) || 1;
    this.setZoom(
      (this.#view.zoom * apart(now)) / apart(before), (now[0] + other[0]) / 2, (now[1] + other[1]) / 2,
    );
  }

  #up(event) {
    this.#pointers.delete(event.pointerId);
    this.#slides = false;
  }

  #slide(x) {
    const [left, right] = this.#span();
    this.#slider.value = ((x - left) / (right - left)) * 100;
    this.#draw();
  }

  // Where the picture begins and ends on the canvas, as far as it is in view.
  #span() {
    const half = (this.#size().width / 2) * this.#view.zoom;
    const middle = this.#canvas.width / 2 + (this.#size().width / 2 - this.#view.x) * this.#view.zoom;
    return [Math.max(middle - half, 0), Math.min(middle + half, this.#canvas.width)];
  }

  #split() {
    const [left, right] = this.#span();
    return left + ((right - left) * this.#slider.value) / 100;
  }

  #draw() {
    const context = this.#canvas.getContext("2d");
    const { width, height } = this.#canvas;
    context.clearRect(0, 0, width, height);
    if (!this.#before) return;
    if (this.#clear) this.#drawSquares(context);
    const split = this.#after ? this.#split() : width;
    context.save();
    context.beginPath();
    context.rect(0, 0, split, height);
    context.clip();
    this.#drawWhole(context, this.#before);
    context.restore();
    if (this.#after) this.#drawAfter(context, split);
    this.#divider.style.left = `${split / devicePixelRatio}px`;
    this.#onZoom(this.#view.zoom, Boolean(this.#after));
  }

  // The box of pixels of the result that the canvas shows, and its place there.
  #target() {
    const { zoom, x, y } = this.#view;
    const { width, height } = this.#size();
    return {
      left: this.#canvas.width / 2 - x * zoom, top: this.#canvas.height / 2 - y * zoom,
      width: width * zoom, height: height * zoom,
    };
  }

  // What shows through where the picture does not cover it.
  #drawSquares(context) {
    const { left, top, width, height } = this.#target();
    const side = 12 * devicePixelRatio;
    const [x, y] = [Math.max(left, 0), Math.max(top, 0)];
    const [right, bottom] = [
      Math.min(left + width, this.#canvas.width), Math.min(top + height, this.#canvas.height),
    ];
    context.fillStyle = "#8886";
    for (let row = 0; y + row * side < bottom; row++) {
      for (let column = row % 2; x + column * side < right; column += 2) {
        const [u, v] = [x + column * side, y + row * side];
        context.fillRect(u, v, Math.min(side, right - u), Math.min(side, bottom - v));
      }
    }
  }

  #drawWhole(context, image) {
    const { left, top, width, height } = this.#target();
    context.imageSmoothingEnabled = true;
    context.imageSmoothingQuality = "high";
    context.drawImage(image, left, top, width, height);
  }

  #drawAfter(context, split) {
    const { zoom } = this.#view;
    const target = this.#target();
    const { width, height, overview, strips } = this.#after;
    context.save();
    context.beginPath();
    context.rect(split, 0, this.#canvas.width - split, this.#canvas.height);
    context.clip();
    if (!strips || zoom < (0.75 * overview.width) / width) this.#drawWhole(context, overview);
    else {
      const bound = (value, most) => Math.min(Math.max(value, 0), most);
      const area = {
        left: bound(Math.floor((split - target.left) / zoom), width),
        right: bound(Math.ceil((this.#canvas.width - target.left) / zoom), width),
        top: bound(Math.floor(-target.top / zoom), height),
        bottom: bound(Math.ceil((this.#canvas.height - target.top) / zoom), height),
      };
      const [w, h] = [area.right - area.left, area.bottom - area.top];
      context.imageSmoothingEnabled = zoom < 1;
      if (w > 0 && h > 0) {
        context.drawImage(
          paintArea(this.#after, area),
          target.left + area.left * zoom, target.top + area.top * zoom, w * zoom, h * zoom,
        );
      }
    }
    context.restore();
  }
}

/** A picture { width, height, channels, samples } as an OffscreenCanvas. */
function paint({ width, height, channels, samples }) {
  const image = new ImageData(width, height);
  toRgba(samples, width, channels, { top: 0, bottom: height, left: 0, right: width }, image.data);
  const canvas = new OffscreenCanvas(width, height);
  canvas.getContext("2d").putImageData(image, 0, 0);
  return canvas;
}

function paintArea({ width, channels, strips }, { left, right, top, bottom }) {
  const image = new ImageData(right - left, bottom - top);
  for (const strip of strips) {
    const from = Math.max(top, strip.top), to = Math.min(bottom, strip.top + strip.rows);
    if (from >= to) continue;
    const area = { left, right, top: from - strip.top, bottom: to - strip.top };
    toRgba(strip.samples, width, channels, area, image.data, (from - top) * image.width * 4);
  }
  const canvas = new OffscreenCanvas(image.width, image.height);
  canvas.getContext("2d").putImageData(image, 0, 0);
  return canvas;
}

/** A result, small enough to be drawn at a glance. */
export function overviewOf({ width, height, channels, strips }) {
  const share = Math.min(OVERVIEW / Math.max(width, height), 1);
  const canvas = new OffscreenCanvas(
    Math.max(Math.round(width * share), 1), Math.max(Math.round(height * share), 1),
  );
  const context = canvas.getContext("2d");
  context.imageSmoothingQuality = "high";
  const scaled = canvas.height / height;
  for (const { top, rows, samples } of strips) {
    const part = paint({ width, height: rows, channels, samples });
    context.drawImage(part, 0, top * scaled, canvas.width, rows * scaled);
  }
  return canvas;
}

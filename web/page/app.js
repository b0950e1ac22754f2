// The page: pictures come in, are enlarged one after the other, are looked at and saved.

import { chooseNetwork } from "./choice.js";
import { Crew, prepare } from "./crew.js";
import { engineFile, isQuick } from "./engine.js";
import { showEntry, showFacts } from "./entries.js";
import { readPicture } from "./picture.js";
import { download, distinct, encode, remarkOn, resultName } from "./save.js";
import { Viewer, overviewOf } from "./viewer.js";
import { zip } from "./zip.js";

const GIB = 1 << 30;
// Bytes of results in memory: a quarter of what the browser says that there is, at most 2 GiB.
const ROOM = ((navigator.deviceMemory ?? 4) / 4) * GIB;

const $ = (id) => document.getElementById(id);
const crew = new Crew();
const items = []; // { file, entry, picture, reading, choice, result, state, error, progress, left }
// A result has, besides what the crew makes, { scale, seconds, overview, saved }; where it had to
// leave the memory, `blob`, a PNG, is in place of its strips.
let selected = null;
let running = null;
let folder = null;
let saving = Promise.resolve(); // until what goes into folders is there

const settings = () => Object.fromEntries(new FormData($("settings")));
const viewer = new Viewer({
  stage: $("stage"), canvas: $("canvas"), slider: $("slider"), divider: $("divider"),
  onZoom: (zoom) => ($("level").value = `${Math.round(zoom * 100)} %`),
});

function say(text) {
  $("status").textContent = text;
}

function complain(text) {
  $("trouble").textContent = text;
  $("trouble").hidden = !text;
}

// Pictures come in

function take(files) {
  complain("");
  const added = [...files].map((file) => ({ file, state: "waiting", progress: 0 }));
  if (!added.length) return;
  const pick = (item) => {
    select(item);
    $("stage").scrollIntoView({ block: "nearest" }); // on phones, it may be out of sight
  };
  for (const item of added) item.entry = showEntry(item, { pick, remove });
  items.push(...added);
  if (!selected) select(added[0]);
  refresh();
  work();
}

async function filesOf(transfer) {
  const entries = [...transfer.items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
  if (!entries.some((entry) => entry.isDirectory)) return transfer.files;
  return (await Promise.all(entries.map(within))).flat().filter(({ type }) => type.startsWith("image/"));
}

async function within(entry) {
  if (entry.isFile) return [await new Promise((...done) => entry.file(...done))];
  const reader = entry.createReader(), found = [];
  for (;;) { // a hundred at a time
    const some = await new Promise((...done) => reader.readEntries(...done));
    if (!some.length) return (await Promise.all(found.map(within))).flat();
    found.push(...some);
  }
}

// One after the other, the one that is looked at first

async function work() {
  if (running) return;
  const waiting = () => items.filter(({ state }) => state === "waiting");
  for (let next = waiting(); next.length; next = waiting()) {
    running = next.includes(selected) ? selected : next[0];
    await enlarge(running);
    running = null;
    refresh();
  }
}

async function enlarge(item) {
  const { network: wanted, scale, fast, condition } = settings();
  item.state = "running";
  Object.assign(item, { error: "", progress: 0, result: null });
  refresh();
  try {
    const picture = await pictureOf(item);
    item.choice = chooseNetwork(picture, wanted, condition);
    showIf(item);
    checkRoom(picture, Number(scale));
    await makeRoom(item, Number(scale));
    if (isStopped(item)) return;
    const began = performance.now();
    const progress = (done, all) => {
      const gone = (performance.now() - began) / 1000;
      item.progress = done / all;
      item.left = (gone / done) * (all - done);
      refresh();
    };
    const { network } = item.choice;
    const result = await crew.enlarge(picture, network, Number(scale), { fast, progress });
    finish(item, result, Number(scale), (performance.now() - began) / 1000);
  } catch (error) {
    fail(item, error);
  }
}

// Told to go, or to begin anew, while it waited for something.
const isStopped = ({ state }) => state !== "running";

// Read once for all who ask at the same time.
async function pictureOf(item) {
  if (item.picture) return item.picture;
  item.reading ??= readPicture(item.file).finally(() => (item.reading = null));
  return (item.picture = await item.reading);
}

function finish(item, result, scale, seconds) {
  Object.assign(result, { scale, seconds, overview: overviewOf(result) });
  Object.assign(item, { result, state: "done" });
  say(`${item.file.name} enlarged to ${result.width} by ${result.height} pixels`);
  showIf(item);
  if (folder) saveInto(folder, [item]).catch((error) => complain(error.message));
}

function fail(item, error) {
  if (isStopped(item)) return;
  item.state = "failed";
  item.error = error.message;
  say(`${item.file.name}: ${error.message}`);
  if (item === selected) complain(`${item.file.name}: ${error.message}`);
}

const bytesOf = ({ width, height, channels, samples }, scale) =>
  width * height * scale ** 2 * channels * samples.BYTES_PER_ELEMENT;

function checkRoom(picture, scale) {
  const bytes = bytesOf(picture, scale);
  if (bytes <= ROOM) return;
  const share = Math.sqrt(ROOM / bytes);
  const [width, height] = [picture.width, picture.height].map((side) => Math.floor(side * share));
  const smaller = [3, 2].find((other) => other < scale && bytesOf(picture, other) <= ROOM);
  throw new Error(
    `enlarged ×${scale} it would take ${(bytes / GIB).toFixed(1)} GB of memory; at most ` +
      `${width} × ${height} pixels fit${smaller ? `, or choose ×${smaller}` : ""}`,
  );
}

// Earlier results become files, which browsers keep on the disk: PNGs, which any format can be
// made of. The one that is looked at stays, whose pixels the viewer needs.
async function makeRoom(item, scale) {
  const kept = items.filter(({ result }) => result?.strips);
  const size = ({ picture, result }) => bytesOf(picture, result.scale);
  let used = kept.reduce((sum, other) => sum + size(other), 0);
  for (const other of kept) {
    if (isStopped(item) || used + bytesOf(item.picture, scale) <= ROOM) return;
    if (other === selected) continue;
    const blob = await encode(other.result, "png");
    if (other === selected) continue; // by now
    used -= size(other);
    Object.assign(other.result, { blob, strips: null });
    other.picture = null;
  }
}

function cancel() {
  for (const item of items) {
    if (["waiting", "running"].includes(item.state)) item.state = "cancelled";
  }
  crew.cancel();
  say("Cancelled");
  refresh();
}

// Other settings: what is there is enlarged anew.
function restart() {
  for (const item of items) {
    if (item.state !== "failed" || item.picture) item.state = "waiting";
  }
  complain("");
  crew.cancel();
  refresh();
  work();
}

function remove(item) {
  const place = items.indexOf(item);
  items.splice(place, 1);
  item.entry.remove();
  item.state = "removed";
  if (item === running) crew.cancel();
  if (item === selected) select(items[Math.min(place, items.length - 1)] ?? null);
  refresh();
}

// What is looked at

async function select(item) {
  selected = item;
  complain(item?.state === "failed" ? `${item.file.name}: ${item.error}` : "");
  refresh();
  if (!item) return;
  try {
    await pictureOf(item);
  } catch {
    return; // which is said when its turn comes
  }
  showIf(item);
}

function showIf(item) {
  if (item !== selected || !item.picture) return;
  viewer.show(item.picture, item.result);
  refresh();
}

function refresh() {
  const done = items.filter(({ state }) => state === "done");
  $("welcome").hidden = items.length > 0;
  $("view").hidden = !selected?.picture;
  $("busy").hidden = selected?.state !== "running" && selected?.state !== "waiting";
  $("together").hidden = done.length < 2;
  $("save").disabled = selected?.state !== "done";
  $("folder").hidden = !("showDirectoryPicker" in window);
  for (const item of items) showEntry(item, {}, item === selected);
  showFacts(selected);
  $("choice").textContent = choiceInWords(selected);
  const remark = selected?.result ? remarkOn(selected.result, settings().format) : "";
  $("note").textContent = remark;
  $("note").hidden = !remark;
  showProgress(selected);
}

function choiceInWords(item) {
  if (!item?.choice) return "Damaged: JPEG of low quality, noise. Automatic looks at each picture.";
  const { network, reason, kind } = item.choice;
  const done = kind === "real" ? "restored and enlarged" : "enlarged";
  return `${reason ? `${reason}: ` : ""}${done} by ${network}`;
}

function showProgress(item) {
  if (!item) return;
  if (item.state === "running" && item.progress) $("bar").value = item.progress;
  else $("bar").removeAttribute("value");
  const left = item.progress && item.left > 1 ? `, ${Math.ceil(item.left)} s left` : "";
  $("doing").textContent = item.state === "waiting" ? "Waiting for its turn" : `Enlarging${left}`;
}

// Pictures go out

// What there is when it is asked for: items may be enlarged anew while it is written.
const resultsOf = (done) => done.map(({ file, result }) => ({ original: file.name, result }));

async function fileOf({ original, result }, format) {
  const blob = await encode(result, format);
  return { name: resultName(original, result.scale, blob.type), blob };
}

async function saveOne() {
  const { name, blob } = await fileOf(...resultsOf([selected]), settings().format);
  download(blob, name);
  say(`${name} saved`);
}

async function filesOfAll(done) {
  const { format } = settings();
  const files = [];
  for (const one of resultsOf(done)) files.push(await fileOf(one, format));
  const names = distinct(files.map(({ name }) => name));
  return files.map(({ blob }, i) => ({ name: names[i], blob }));
}

async function saveZip() {
  download(await zip(await filesOfAll(items.filter(({ state }) => state === "done"))), "bnnup.zip");
  say("bnnup.zip saved");
}

async function saveFolder() {
  folder = await showDirectoryPicker({ mode: "readwrite" });
  await saveInto(folder, items.filter(({ state, result }) => state === "done" && !result.saved));
}

// One after the other, so that each finds a name that is free.
function saveInto(folder, done) {
  const [{ format }, results] = [settings(), resultsOf(done)];
  const write = async () => {
    for (const one of results) if (!one.result.saved) await saveResult(folder, one, format);
  };
  const written = saving.then(write);
  saving = written.catch(() => {});
  return written;
}

async function saveResult(folder, one, format) {
  const { name, blob } = await fileOf(one, format);
  const handle = await folder.getFileHandle(await freeName(folder, name), { create: true });
  const writable = await handle.createWritable();
  await writable.write(blob);
  await writable.close();
  one.result.saved = true;
  say(`${name} saved`);
  refresh();
}

// Nothing that exists is overwritten.
async function freeName(folder, name) {
  const [stem, ending] = name.split(/(\.[^.]*$)/);
  for (let i = 1; ; i++) {
    const wanted = i === 1 ? name : `${stem} (${i})${ending}`;
    const exists = await folder.getFileHandle(wanted).then(() => true, (error) => error.name !== "NotFoundError");
    if (!exists) return wanted;
  }
}

// Buttons that take a while, one press at a time; what goes wrong is said.
function onPress(id, action) {
  $(id).addEventListener("click", async () => {
    if ($(id).getAttribute("aria-busy")) return;
    $(id).setAttribute("aria-busy", "true");
    try {
      await action();
    } catch (error) {
      if (error.name !== "AbortError") complain(error.message);
    } finally {
      $(id).removeAttribute("aria-busy");
    }
  });
}

function listen() {
  for (const id of ["choose", "more"]) $(id).addEventListener("click", () => $("files").click());
  $("files").addEventListener("change", () => {
    take($("files").files);
    $("files").value = "";
  });
  addEventListener("dragover", (event) => {
    event.preventDefault();
    document.body.classList.add("over");
  });
  addEventListener("dragleave", (event) => {
    if (!event.relatedTarget) document.body.classList.remove("over");
  });
  addEventListener("drop", async (event) => {
    event.preventDefault();
    document.body.classList.remove("over");
    take(await filesOf(event.dataTransfer));
  });
  addEventListener("paste", (event) => take(event.clipboardData.files));
  addEventListener("keydown", (event) => {
    if (event.key === "Escape" && running) cancel();
  });
  $("settings").addEventListener("change", ({ target }) => {
    if (target.name === "format") return refresh();
    restart();
  });
  $("cancel").addEventListener("click", cancel);
  $("fit").addEventListener("click", () => viewer.fit());
  $("actual").addEventListener("click", () => viewer.setZoom(1));
  $("in").addEventListener("click", () => viewer.zoomBy(1.5));
  $("out").addEventListener("click", () => viewer.zoomBy(1 / 1.5));
  onPress("save", saveOne);
  onPress("zip", saveZip);
  onPress("folder", saveFolder);
}

async function keepForOffline() {
  if (!("serviceWorker" in navigator) || !isSecureContext) return;
  await navigator.serviceWorker.register("service-worker.js");
  const { active } = await navigator.serviceWorker.ready;
  active.postMessage({ keep: engineFile() });
}

listen();
refresh();
$("fast").hidden = isQuick();
const { network, scale } = settings();
await prepare(network, scale).catch((error) => complain(error.message));
crew.warm(network, scale);
keepForOffline().catch(() => {}); // then it needs the network, as pages do

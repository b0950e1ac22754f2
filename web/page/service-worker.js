// Keeps the page's files, so that it works offline. What to keep, and the version, which is
// that of the files' contents, are filled in when the page is built.

const { version, files } = /* FILES */ null;
const NAME = `bnnup-${version}`;
// As the host has it now: what the browser remembers may be of an earlier version.
const fresh = (file) => new Request(file, { cache: "reload" });

self.addEventListener("install", (event) => {
  const keep = async () => {
    const cache = await caches.open(NAME);
    await cache.addAll(["./", ...files].map(fresh));
    await self.skipWaiting();
  };
  event.waitUntil(keep());
});

self.addEventListener("activate", (event) => {
  const clean = async () => {
    const old = (await caches.keys()).filter((name) => name.startsWith("bnnup-") && name !== NAME);
    await Promise.all(old.map((name) => caches.delete(name)));
    await self.clients.claim();
  };
  event.waitUntil(clean());
});

// The page names the engine that suits its browser.
self.addEventListener("message", (event) => {
  const keep = async () => {
    const cache = await caches.open(NAME);
    if (!(await cache.match(event.data.keep))) await cache.add(fresh(event.data.keep));
  };
  event.waitUntil(keep());
});

self.addEventListener("fetch", (event) => {
  const find = async () => {
    const cache = await caches.open(NAME);
    return (await cache.match(event.request, { ignoreSearch: true })) ?? fetch(event.request);
  };
  if (event.request.method === "GET") event.respondWith(find());
});

import { createHash } from "node:crypto";
import { fileURLToPath } from "node:url";
import { defineConfig, type Plugin } from "vite";

const SITE = fileURLToPath(new URL("../../site/workbench/", import.meta.url));

/** The worker that keeps every file of the page in the browser; another build is another cache. */
function offline(): Plugin {
  return {
    name: "offline",
    enforce: "post",
    generateBundle(_options, bundle) {
      const files = Object.keys(bundle).filter((name) => !name.endsWith(".map"));
      const hash = createHash("sha256");
      for (const name of files.toSorted()) {
        const file = bundle[name];
        hash.update(name).update(file === undefined || file.type === "chunk" ? "" : file.source);
      }
      const cache = `virtio-admin-workbench-${hash.digest("hex").slice(0, 16)}`;
      const source = worker(cache, ["./", ...files.map((name) => `./${name}`)]);
      this.emitFile({ type: "asset", fileName: "offline.js", source });
    },
  };
}

function worker(cache: string, files: readonly string[]): string {
  return `const CACHE = ${JSON.stringify(cache)};
const FILES = ${JSON.stringify(files)};
addEventListener("install", (event) => {
  event.waitUntil(caches.open(CACHE).then((cache) => cache.addAll(FILES)).then(() => skipWaiting()));
});
addEventListener("activate", (event) => {
  const old = (name) => name.startsWith("virtio-admin-workbench-") && name !== CACHE;
  event.waitUntil(
    caches.keys().then((names) => Promise.all(names.filter(old).map((name) => caches.delete(name)))),
  );
});
addEventListener("fetch", (event) => {
  if (event.request.method !== "GET") return;
  event.respondWith(
    caches.open(CACHE).then((cache) => cache.match(event.request, { ignoreSearch: true }))
      .then((kept) => kept ?? fetch(event.request)),
  );
});
`;
}

export default defineConfig({
  root: fileURLToPath(new URL(".", import.meta.url)),
  base: "./",
  plugins: [offline()],
  oxc: { jsx: { runtime: "automatic", importSource: "preact" } },
  // The sources of every package: what is looked at is what is tested.
  resolve: { conditions: ["virtio-source", "browser", "import", "default"] },
  build: {
    outDir: SITE,
    emptyOutDir: true,
    target: "es2023",
    modulePreload: { polyfill: false },
    // Nothing is put into the page as a data address: the policy of the page allows none.
    assetsInlineLimit: 0,
    reportCompressedSize: false,
  },
});

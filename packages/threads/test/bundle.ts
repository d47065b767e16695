/** Bundles the programs of workers from the sources: a worker reads no TypeScript. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { build } from "vite";

/** A worker's program that was bundled, until it is removed. */
export interface Bundle {
  readonly url: URL;
  remove(): Promise<void>;
}

/** Bundles a program of this directory, or of `from`. */
export async function bundle(program: string, from: string = import.meta.url): Promise<Bundle> {
  const folder = await mkdtemp(join(tmpdir(), "virtio-admin-threads-"));
  await build({
    configFile: false,
    logLevel: "error",
    resolve: { conditions: ["virtio-source", "node", "import", "default"] },
    ssr: {
      noExternal: /^@virtio-admin\//,
      resolve: { conditions: ["virtio-source", "node", "import"] },
    },
    build: {
      ssr: fileURLToPath(new URL(`./${program}.ts`, from)),
      outDir: folder,
      emptyOutDir: false,
      rolldownOptions: { output: { entryFileNames: `${program}.mjs` } },
    },
  });
  return {
    url: pathToFileURL(join(folder, `${program}.mjs`)),
    remove: () => rm(folder, { recursive: true, force: true }),
  };
}

/** Bundles the programs of workers from the sources: a worker reads no TypeScript. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { build, type Plugin } from "vite";
import { type Mutation, mutated, ROOT } from "../../fixtures/test/mutated.ts";

/** A worker's program that was bundled, until it is removed. */
export interface Bundle {
  readonly url: URL;
  remove(): Promise<void>;
}

/**
 * Bundles a program of this directory, or of `from`.
 *
 * @param mutation a rule that is broken in its sources
 */
export async function bundle(
  program: string,
  from: string = import.meta.url,
  mutation?: Mutation,
): Promise<Bundle> {
  const folder = await mkdtemp(join(tmpdir(), "virtio-admin-threads-"));
  await build({
    configFile: false,
    logLevel: "error",
    resolve: { conditions: ["virtio-source", "node", "import", "default"] },
    ssr: {
      noExternal: /^@virtio-admin\//,
      resolve: { conditions: ["virtio-source", "node", "import"] },
    },
    plugins: mutation === undefined ? [] : [planted(mutation)],
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

function planted(mutation: Mutation): Plugin {
  return {
    name: "plant-a-fault",
    enforce: "pre",
    transform: (code, id) =>
      id === `${ROOT}${mutation.file}` ? mutated(code, mutation) : undefined,
  };
}

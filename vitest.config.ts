import { defineConfig } from "vitest/config";

// Tests read the sources of every package, never dist: one instance of every class and symbol.
const conditions = ["virtio-source", "node", "import", "default"];

/** What counts descriptors and mappings, waits in the main thread's event loop, or ends in a process of its own. */
const OWN_PROCESS = [
  "packages/{vfio-user,threads,peers}/test/**/*.test.ts",
  "packages/cli/test/{serve,ctl}.test.ts",
];

export default defineConfig({
  oxc: { decorator: { legacy: true, emitDecoratorMetadata: true } },
  ssr: { resolve: { conditions } },
  resolve: { conditions },
  test: {
    projects: [
      {
        extends: true,
        test: {
          name: "shared",
          include: ["packages/*/test/**/*.test.ts"],
          exclude: OWN_PROCESS,
          // Imports take longer than most tests do: files share what they import.
          pool: "threads",
          isolate: false,
        },
      },
      {
        extends: true,
        test: { name: "own process", include: OWN_PROCESS, pool: "forks" },
      },
    ],
    testTimeout: 60_000,
    hookTimeout: 60_000,
    // Every processor runs tests: nothing else of this project runs meanwhile.
    maxWorkers: "100%",
    coverage: {
      provider: "v8",
      include: ["packages/*/src/**/*.ts"],
      exclude: ["packages/{bench,examples,pages,peers}/**", "packages/workbench/**/*.d.ts"],
      reporter: ["text-summary", "json-summary", "html"],
      thresholds: { lines: 80 },
    },
  },
});

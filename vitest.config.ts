import { defineConfig } from "vitest/config";

// Tests read the sources of every package, never dist: one instance of every class and symbol.
const conditions = ["virtio-source", "node", "import", "default"];

export default defineConfig({
  oxc: { decorator: { legacy: true, emitDecoratorMetadata: true } },
  ssr: { resolve: { conditions } },
  resolve: { conditions },
  test: {
    include: ["packages/*/test/**/*.test.ts"],
    testTimeout: 60_000,
    hookTimeout: 60_000,
    // Every processor runs tests: nothing else of this project runs meanwhile.
    maxWorkers: "100%",
    coverage: {
      provider: "v8",
      include: ["packages/*/src/**/*.ts"],
      exclude: ["packages/{bench,examples,peers}/**"],
      reporter: ["text-summary", "json-summary", "html"],
      thresholds: { lines: 80 },
    },
  },
});

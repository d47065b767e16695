#!/usr/bin/env node
import process from "node:process";

// A reader that went away (`virtio-admin … | head`) is no error of ours.
process.stdout.on("error", (error) => {
  if (error.code !== "EPIPE") throw error;
  process.exit(0);
});

const { main } = await import("../dist/main.js").catch((error) => {
  if (error.code !== "ERR_MODULE_NOT_FOUND") throw error;
  process.stderr.write(
    `virtio-admin is not built yet: run \`npm run build\` first (${error.message})\n`,
  );
  process.exit(2);
});
process.exitCode = await main(process.argv.slice(2));

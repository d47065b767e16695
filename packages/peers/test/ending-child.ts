/** Has a child and a folder; says where they are once the child runs, and ends as it is told. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { endsWithUs, killedWithUs, privateFolder } from "../src/cleanup.ts";

const program = "console.log('up'); setInterval(() => {}, 1000)";
const child = spawn(...killedWithUs(process.execPath, ["-e", program]), {
  stdio: ["ignore", "pipe", "ignore"],
});
endsWithUs(child);
const { path } = privateFolder();
await once(child.stdout, "data");
process.stdout.write(`${child.pid} ${path}\n`);
if (process.argv[2] === "throw") {
  setImmediate(() => {
    throw new Error("as it was told");
  });
} else if (process.argv[2] === "exit") setImmediate(() => process.exit(5));
else setInterval(() => {}, 1000);

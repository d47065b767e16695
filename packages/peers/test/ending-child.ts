/** Has a child and a folder; says where they are, and ends as it is told. */
import { spawn } from "node:child_process";
import { endsWithUs, privateFolder } from "../src/cleanup.ts";

const child = spawn(process.execPath, ["-e", "setInterval(() => {}, 1000)"]);
endsWithUs(child);
const { path } = privateFolder();
process.stdout.write(`${child.pid} ${path}\n`);
if (process.argv[2] === "throw") {
  setImmediate(() => {
    throw new Error("as it was told");
  });
} else if (process.argv[2] === "exit") setImmediate(() => process.exit(5));
else setInterval(() => {}, 1000);

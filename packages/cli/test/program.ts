/** The command in a process of its own; `child.ts` bundles it. */
import process from "node:process";
import { main } from "../src/main.ts";

process.exitCode = await main(process.argv.slice(2));

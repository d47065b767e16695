/** The program of one path's process: `measure-main.js PATH` prints its rows as JSON. */
import { measurePath } from "./measure-path.ts";

console.log(JSON.stringify(await measurePath(process.argv[2] ?? "")));

/** The program of one path's process: `measure-main.js PATH [SHORTEST]` prints its rows as JSON. */
import { measurePath, type Shortest } from "./measure-path.ts";

const [, , path = "", shortest = "{}"] = process.argv;
console.log(JSON.stringify(await measurePath(path, JSON.parse(shortest) as Shortest)));

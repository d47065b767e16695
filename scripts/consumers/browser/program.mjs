// Runs a bundle (one classic script, named by the first argument) in a context that has the
// language and a few globals of the web, and nothing of Node.
import { readFileSync } from "node:fs";
import process from "node:process";
import { createContext, Script } from "node:vm";

const { clearTimeout, crypto, performance, queueMicrotask, setTimeout, TextDecoder, TextEncoder } =
  globalThis;
const web = createContext({
  clearTimeout,
  crypto,
  performance,
  queueMicrotask,
  setTimeout,
  TextDecoder,
  TextEncoder,
});
const [, , bundle] = process.argv;
new Script(readFileSync(bundle, "utf8"), { filename: bundle }).runInContext(web);
// As a string: objects of the context are of another realm.
const report = new Script("consumer.roundTrips().then(JSON.stringify)").runInContext(web);
process.stdout.write(await report);

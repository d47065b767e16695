/** The browser that pages are looked at with: one that is there, or Debian's unpacked in the cache. */
import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { homedir } from "node:os";
import { delimiter, join } from "node:path";
import process from "node:process";
import { VirtioError } from "@virtio-admin/core";
import {
  completeTrees,
  lockCache,
  type Progress,
  runProgram,
  unpack,
} from "@virtio-admin/peers/debian";
import { SystemApt } from "./system-apt.ts";

/** A browser to start. */
export interface Chromium {
  /** The program. */
  readonly path: string;
  /** What has to be in its environment. */
  readonly env: Readonly<Record<string, string>>;
  /** Its name and version. */
  readonly version: string;
}

/** Names a browser that is to be used, whatever else is there. */
export const CHROMIUM_VARIABLE = "VIRTIO_ADMIN_CHROMIUM";

const NAMES = ["chromium", "chromium-browser", "google-chrome"];
const TREE = "chromium";
/** The browser, and letters: without a font, a page is as high as nothing. */
const PACKAGES = ["chromium", "fonts-inter", "fonts-dejavu-core"];
const PROGRAM = "usr/lib/chromium/chromium";
/** Relative to the tree; what a library keeps to itself is in a folder of its own. */
const LIBRARIES = ["x86_64-linux-gnu", "aarch64-linux-gnu"].flatMap((triplet) => [
  `usr/lib/${triplet}`,
  `usr/lib/${triplet}/pulseaudio`,
]);

/** Where the browser is kept: under `XDG_CACHE_HOME`, or `~/.cache`. */
export function browserCache(
  env: Readonly<Record<string, string | undefined>> = process.env,
): string {
  const { XDG_CACHE_HOME: given } = env;
  const base = given?.startsWith("/") ? given : join(homedir(), ".cache");
  return join(base, "virtio-admin", "pages");
}

/**
 * Finds a browser, and fetches one where there is none.
 *
 * @throws VirtioError `HOST_UNSUPPORTED` when there is none and none can be fetched
 */
export async function findChromium(progress: Progress): Promise<Chromium> {
  const named = process.env[CHROMIUM_VARIABLE];
  if (named !== undefined) return described(named, {});
  const own = (process.env["PATH"] ?? "")
    .split(delimiter)
    .flatMap((folder) => NAMES.map((name) => join(folder, name)))
    .find((path) => existsSync(path));
  if (own !== undefined) return described(own, {});
  const cache = browserCache();
  mkdirSync(cache, { recursive: true });
  const [unpacked] = completeTrees(cache, TREE);
  if (unpacked !== undefined) {
    try {
      return await ofTree(unpacked);
    } catch (error) {
      // The tree has what this machine lacked when it was made.
      progress(`it does not start: ${error instanceof Error ? error.message : error}`);
    }
  }
  const unlock = await lockCache(cache);
  try {
    return await ofTree(await fetchTree(cache, progress));
  } finally {
    await unlock();
  }
}

async function fetchTree(cache: string, progress: Progress): Promise<string> {
  const apt = new SystemApt(join(cache, "apt"), progress);
  await apt.update();
  return unpack(apt, cache, TREE, await apt.missing(PACKAGES), progress);
}

async function ofTree(folder: string): Promise<Chromium> {
  const path = join(folder, PROGRAM);
  if (!existsSync(path)) {
    throw new VirtioError("HOST_UNSUPPORTED", {
      path,
      message: "the package has no browser",
      hint: `name one in ${CHROMIUM_VARIABLE}`,
    });
  }
  const fonts = join(folder, "fonts.conf");
  writeFileSync(fonts, fontConfiguration(folder));
  return described(path, {
    LD_LIBRARY_PATH: LIBRARIES.map((name) => join(folder, name)).join(delimiter),
    FONTCONFIG_FILE: fonts,
  });
}

/** The same letters on every machine. */
function fontConfiguration(folder: string): string {
  const alias = (family: string, prefer: string) =>
    `<alias binding="same"><family>${family}</family><prefer><family>${prefer}</family></prefer></alias>`;
  return [
    '<?xml version="1.0"?>',
    "<fontconfig>",
    // What is installed already is not in the tree.
    ...[join(folder, "usr/share/fonts"), "/usr/share/fonts"].map((path) => `<dir>${path}</dir>`),
    `<cachedir>${join(folder, "font-cache")}</cachedir>`,
    ...["system-ui", "sans-serif"].map((family) => alias(family, "Inter")),
    ...["monospace", "ui-monospace"].map((family) => alias(family, "DejaVu Sans Mono")),
    "</fontconfig>",
    "",
  ].join("\n");
}

async function described(path: string, env: Chromium["env"]): Promise<Chromium> {
  const version = (await runProgram(path, ["--version", "--no-sandbox"], { env })).trim();
  return { path, env, version };
}

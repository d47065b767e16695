/** The folder that keeps what was unpacked, and who uses it. */
import { createHash } from "node:crypto";
import { mkdirSync } from "node:fs";
import { createServer, type Server } from "node:net";
import { homedir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { VirtioError } from "@virtio-admin/core";

/** Where unpacked packages are kept: under `XDG_CACHE_HOME`, or `~/.cache`. */
export function cacheFolder(
  env: Readonly<Record<string, string | undefined>> = process.env,
): string {
  const { XDG_CACHE_HOME: given } = env;
  // The XDG text: a path that is not absolute is to be ignored.
  const base = given?.startsWith("/") ? given : join(homedir(), ".cache");
  return join(base, "virtio-admin", "peers");
}

/**
 * Takes a cache for this process alone; what is returned gives it back. The lock is a socket
 * without a file: it goes with the process, whatever ends that.
 *
 * @throws VirtioError `HOST_UNSUPPORTED` while another process has it
 */
export async function lockCache(folder: string): Promise<() => Promise<void>> {
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const name = createHash("sha256").update(folder).digest("hex").slice(0, 16);
  const server = createServer((socket) => socket.destroy());
  await listen(server, `\0virtio-admin-peers-${name}`, folder);
  server.unref();
  return () => new Promise((resolve) => server.close(() => resolve()));
}

function listen(server: Server, path: string, folder: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", (cause: NodeJS.ErrnoException) => {
      const busy = cause.code === "EADDRINUSE";
      reject(
        new VirtioError("HOST_UNSUPPORTED", {
          path: folder,
          message: busy ? "another run uses this cache" : "the cache cannot be locked",
          hint: busy ? "wait for its end, or give XDG_CACHE_HOME" : "look at the cause",
          cause,
        }),
      );
    });
    server.listen(path, () => resolve());
  });
}

/** Keeps the files of the page in the browser, so that it works without the server that it came from. */

/** Registers the worker that the build makes; where there is none, nothing happens. */
export function keepOffline(): void {
  if (!import.meta.env.PROD || !("serviceWorker" in navigator)) return;
  navigator.serviceWorker.register("./offline.js").catch(() => undefined);
}

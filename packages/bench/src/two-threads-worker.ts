/** The worker of `two-threads`: the device's half. */
import { parentPort, workerData } from "node:worker_threads";
import { createDeviceQueue } from "@virtio-admin/core";
import { Bell } from "@virtio-admin/threads";
import { serve } from "./raw-split.ts";
import { END_AT, sharedRing, type TwoThreadsInit } from "./two-threads.ts";

const POLLS = 4000;

const { guest, words } = workerData as TwoThreadsInit;
const device = createDeviceQueue(sharedRing(guest));
const bell = new Bell(words);
device.disableNotifications();
parentPort?.postMessage("ready");

/** Serves until `POLLS` looks in a row found nothing. */
function poll(): void {
  for (let left = POLLS; left > 0; left--) if (serve(device) > 0) left = POLLS;
}

while (Atomics.load(words, END_AT) === 0) {
  poll();
  const seen = bell.count;
  // From here on the driver rings; what came before it could know is served first.
  if (!device.enableNotifications()) bell.heardBlocking(seen, 0);
  device.disableNotifications();
}

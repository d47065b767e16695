import { VirtioError } from "@virtio-admin/core";

/** The error that `action` throws; fails the test when it throws none of the project's. */
export function failureOf(action: () => unknown): VirtioError {
  try {
    action();
  } catch (error) {
    if (error instanceof VirtioError) return error;
    throw error;
  }
  throw new Error("nothing was thrown");
}

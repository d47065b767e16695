/** What a device answers a command of its owner. */
import { AdminCommandError } from "@virtio-admin/core";

/** The status and the qualifier with which a command is refused; `undefined` when it is carried out. */
export async function refusalOf(command: Promise<unknown>): Promise<string | undefined> {
  try {
    await command;
    return undefined;
  } catch (error) {
    if (!(error instanceof AdminCommandError)) throw error;
    return `${error.statusName}, ${error.qualifierName}`;
  }
}

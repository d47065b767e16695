/**
 * A client that is refused, as another has the function: it is answered with EBUSY, and with who
 * the other one is. The body of that reply has the form of a VERSION message, whose JSON names the
 * `holder`; clients that know nothing of it see the errno.
 */
import { decode, encode, hostTimer, VirtioError } from "@virtio-admin/core";
import { Channel, closeAll } from "./channel.ts";
import { errorMessage } from "./message.ts";
import type { Native } from "./native.ts";
import {
  ERRNO,
  VFIO_USER_COMMAND,
  VFIO_USER_VERSION,
  VFIO_USER_VERSION_LAYOUT,
} from "./protocol.ts";

/** How long a client has for its VERSION message, in milliseconds. */
const PATIENCE = 1000;
/** The longest VERSION message that is read. */
const LONGEST_BODY = 8192;
/** The longest JSON that is looked at. */
const LONGEST_DATA = 256;
const LARGEST_PROCESS = 2 ** 31 - 1;

/** The function is held by another client. */
export class VfioUserHeldError extends VirtioError {
  /** The name that stands before the message in a stack trace. */
  override readonly name: string = "VfioUserHeldError";
  /** The process of that client, as the server sees it; `undefined` where it cannot tell. */
  readonly holder: number | undefined;

  /** Makes the error; its code is `TRANSPORT`. */
  constructor(holder: number | undefined) {
    const who = holder === undefined ? "another process" : `process ${holder}`;
    super("TRANSPORT", {
      message: `the function is held by ${who}`,
      path: "vfio-user.connection",
      hint: "it has one client at a time",
    });
    this.holder = holder;
  }
}

/** Refuses one client; it is over when the client was told, hung up, or said nothing for a while. */
export class Refusal {
  readonly #channel: Channel;
  readonly #timer: unknown;

  /** `holder` is a process, or 0. `ended` is called once, from the event loop. */
  constructor(native: Native, fd: number, holder: number, ended: () => void) {
    this.#channel = new Channel(native, fd, LONGEST_BODY, {
      message: (message) => {
        closeAll(message.fds);
        if (message.command === VFIO_USER_COMMAND.version && !message.reply && !message.silent) {
          this.#channel.send(errorMessage(message, ERRNO.EBUSY, encodeHolder(holder)));
        }
        this.#channel.close();
      },
      closed: () => {
        hostTimer.clear(this.#timer);
        ended();
      },
    });
    this.#timer = hostTimer.set(() => this.#channel.close(), PATIENCE);
  }

  /** Hangs up. */
  close(): void {
    this.#channel.close();
  }
}

/** The body of a refusal. */
export function encodeHolder(holder: number): Uint8Array {
  const json = JSON.stringify(holder === 0 ? {} : { holder: { pid: holder } });
  return encode(VFIO_USER_VERSION_LAYOUT, {
    ...VFIO_USER_VERSION,
    data: new TextEncoder().encode(`${json}\0`),
  });
}

/** Who a refusal names; `undefined` when it names nobody, or is no such body. */
export function decodeHolder(body: Uint8Array): number | undefined {
  const { size } = VFIO_USER_VERSION_LAYOUT;
  if (body.length <= size || body.length > size + LONGEST_DATA) return undefined;
  const { data } = decode(VFIO_USER_VERSION_LAYOUT, body);
  try {
    const text = new TextDecoder().decode(Uint8Array.from(data).subarray(0, -1));
    const document: { readonly holder?: { readonly pid?: unknown } } | null = JSON.parse(text);
    const pid = document?.holder?.pid;
    return typeof pid === "number" && Number.isInteger(pid) && pid > 0 && pid <= LARGEST_PROCESS
      ? pid
      : undefined;
  } catch {
    return undefined;
  }
}

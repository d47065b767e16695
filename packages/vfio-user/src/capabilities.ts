/** What both sides of a connection tell each other in VERSION: the version, and JSON. */
import { decode, encode } from "@virtio-admin/core";
import { VFIO_USER_VERSION_LAYOUT } from "./protocol.ts";

/** What the sender of a VERSION message can take. */
export interface VfioUserCapabilities {
  /** The most descriptors in one message to the sender. */
  readonly maxMsgFds: number;
  /** The most bytes that one message reads or writes. */
  readonly maxDataXferSize: number;
  /** The most DMA ranges at a time. */
  readonly maxDmaMaps: number;
  /** The page sizes of DMA ranges, or'ed together. */
  readonly pgsizes: number;
  /** True when REGION_WRITE_MULTI is understood. */
  readonly writeMultiple: boolean;
}

/** A VERSION message. */
export interface VfioUserVersion {
  /** The major version. */
  readonly major: number;
  /** The minor version. */
  readonly minor: number;
  /** The capabilities; what was not named has the default of the protocol. */
  readonly capabilities: VfioUserCapabilities;
}

/** What a sender can take that does not say. */
export const DEFAULT_CAPABILITIES: VfioUserCapabilities = {
  maxMsgFds: 1,
  maxDataXferSize: 0x10_0000,
  maxDmaMaps: 65_535,
  pgsizes: 4096,
  writeMultiple: false,
};

/** The longest JSON that is looked at. */
const LONGEST_DATA = 4096;

const NUMBERS = {
  max_msg_fds: "maxMsgFds",
  max_data_xfer_size: "maxDataXferSize",
  max_dma_maps: "maxDmaMaps",
  pgsizes: "pgsizes",
} as const;

/** The body of a VERSION message. */
export function encodeVersion({ major, minor, capabilities }: VfioUserVersion): Uint8Array {
  const named = Object.entries(NUMBERS).map(([name, key]) => [name, capabilities[key]]);
  const json = JSON.stringify({
    capabilities: {
      ...Object.fromEntries(named),
      ...(capabilities.writeMultiple ? { write_multiple: true } : {}),
    },
  });
  return encode(VFIO_USER_VERSION_LAYOUT, {
    major,
    minor,
    data: new TextEncoder().encode(`${json}\0`),
  });
}

/**
 * Reads the body of a VERSION message. Capabilities that are not known here are passed over.
 *
 * @returns what it says, or what is wrong with it
 */
export function decodeVersion(body: Uint8Array): VfioUserVersion | string {
  if (body.length < VFIO_USER_VERSION_LAYOUT.size) return "a VERSION message is too short";
  if (body.length > VFIO_USER_VERSION_LAYOUT.size + LONGEST_DATA) return "its JSON is too long";
  const { major, minor, data } = decode(VFIO_USER_VERSION_LAYOUT, body);
  const capabilities = readCapabilities(Uint8Array.from(data));
  return typeof capabilities === "string" ? capabilities : { major, minor, capabilities };
}

function readCapabilities(data: Uint8Array): VfioUserCapabilities | string {
  if (data.length === 0) return DEFAULT_CAPABILITIES;
  if (data.at(-1) !== 0) return "its JSON does not end in NUL";
  let document: unknown;
  try {
    document = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(data.subarray(0, -1)));
  } catch {
    return "its JSON cannot be read";
  }
  if (!isObject(document)) return "its JSON is no object";
  const given = document["capabilities"];
  if (given === undefined) return DEFAULT_CAPABILITIES;
  if (!isObject(given)) return "its capabilities are no object";
  const capabilities = { ...DEFAULT_CAPABILITIES };
  for (const [name, key] of Object.entries(NUMBERS)) {
    const value = given[name];
    if (value === undefined) continue;
    if (typeof value !== "number" || !Number.isSafeInteger(value) || value < 0) {
      return `its ${name} is no size`;
    }
    capabilities[key] = value;
  }
  if (capabilities.maxDataXferSize === 0) return "its max_data_xfer_size is 0";
  const writeMultiple = given["write_multiple"];
  if (writeMultiple !== undefined && typeof writeMultiple !== "boolean") {
    return "its write_multiple is no truth value";
  }
  return { ...capabilities, writeMultiple: writeMultiple === true };
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

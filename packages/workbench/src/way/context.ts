/** What the events of a trace say together about the device, and what a single event needs to be read. */
import {
  type AnyStructLayout,
  accessors,
  type DialectName,
  type Field,
  type Fields,
  fromHex,
  type RegisterLayout,
  type TraceEvent,
} from "@virtio-admin/core";
import { CCW_BASIC_LAYOUT, CCW_REFERENCE_LAYOUT } from "@virtio-admin/transport-ccw";
import { MMIO_REFERENCE_LAYOUT } from "@virtio-admin/transport-mmio";
import {
  PCI_CAPABILITY,
  PCI_HEADER_LAYOUT,
  VIRTIO_PCI_CAP,
  VIRTIO_PCI_CAP_LAYOUT,
  VIRTIO_PCI_COMMON_CFG_LAYOUT,
  VIRTIO_PCI_ISR_LAYOUT,
} from "@virtio-admin/transport-pci";

const CAP = accessors(VIRTIO_PCI_CAP_LAYOUT);
const HEADER = accessors(PCI_HEADER_LAYOUT);
const CONFIG_BYTES = 256;
const COMMON = VIRTIO_PCI_COMMON_CFG_LAYOUT;

/** A virtio structure in a BAR. */
interface Window {
  readonly region: string;
  readonly offset: number;
  readonly length: number;
  readonly name: string;
  readonly layout: AnyStructLayout | undefined;
}

/** A register that an event is about. */
export interface KnownRegister {
  /** Its field. */
  readonly field: Field;
}

/** What is known of the device of a trace. */
export class TraceContext {
  /** The transport. */
  readonly transport: string;
  /** The dialect of the commands. */
  readonly dialect: DialectName;
  /** Whether commands have events of their own, beside their buffers. */
  readonly tellsCommands: boolean;
  readonly #adminQueues = new Set<number>();
  readonly #windows: readonly Window[];

  /** Looks at every event once. */
  constructor(transport: string, events: Iterable<TraceEvent>) {
    this.transport = transport;
    const image = new Uint8Array(CONFIG_BYTES + VIRTIO_PCI_CAP_LAYOUT.size);
    const known = new Uint8Array(CONFIG_BYTES);
    let dialect: DialectName = "virtio-1.4";
    let firstAdmin: number | undefined;
    let adminCount = 1;
    const all = [...events];
    for (const event of all) {
      if (event.op === "read" && event.region === "config") {
        takeImage(event.offset, fromHexOrNothing(event.data), image, known);
      }
    }
    this.#windows = transport === "pci" ? windowsOf(image) : [];
    for (const event of all) {
      if (event.op === "command") {
        if (event.queue !== undefined) this.#adminQueues.add(event.queue);
        if (event.dialect?.startsWith("proposal-v5")) dialect = "proposal-v5";
      } else if (event.op === "read" || (event.op === "ccw" && event.name === "READ_ADMIN_VQ")) {
        const bytes = fromHexOrNothing(event.data);
        const low = (bytes[0] ?? 0) | ((bytes[1] ?? 0) << 8);
        const name = event.op === "read" ? this.register(event)?.field.name : undefined;
        if (name === "AdminQueueIndex" || name === "admin_queue_index") firstAdmin = low;
        if (name === "AdminQueueNum" || name === "admin_queue_num") adminCount = low;
        if (event.op === "ccw" && bytes.length >= 4) {
          firstAdmin = ((bytes[0] ?? 0) << 8) | (bytes[1] ?? 0);
          adminCount = ((bytes[2] ?? 0) << 8) | (bytes[3] ?? 0);
        }
      }
    }
    this.dialect = dialect;
    this.tellsCommands = all.some(({ op }) => op === "command");
    for (let i = 0; firstAdmin !== undefined && i < adminCount; i++) {
      this.#adminQueues.add(firstAdmin + i);
    }
  }

  /** Whether this queue carries administration commands. */
  isAdmin(queue: number): boolean {
    return this.#adminQueues.has(queue);
  }

  /** The register at an offset; `undefined` where the trace does not tell what is there. */
  register(event: {
    readonly region?: string;
    readonly offset: number;
    readonly name?: string;
  }): KnownRegister | undefined {
    const { region, offset, name } = event;
    if (this.transport === "mmio") {
      const field = fieldAt((MMIO_REFERENCE_LAYOUT as RegisterLayout).registers, offset, name);
      return field && { field };
    }
    if (this.transport !== "pci") return undefined;
    if (region === "config") {
      const field = fieldAt(PCI_HEADER_LAYOUT.fields, offset, name);
      return field && { field };
    }
    const within = this.#windows.find(
      (each) =>
        each.region === region && offset >= each.offset && offset < each.offset + each.length,
    );
    if (within?.layout !== undefined) {
      const field = fieldAt(within.layout.fields, offset - within.offset, undefined);
      if (field !== undefined) return { field };
    }
    const field = name === undefined ? undefined : (COMMON.fields as Fields)[name];
    return field && { field };
  }

  /** The structure that an offset of a region lies in, where the trace tells. */
  windowName(region: string | undefined, offset: number): string | undefined {
    return this.#windows.find(
      (each) =>
        each.region === region && offset >= each.offset && offset < each.offset + each.length,
    )?.name;
  }

  /** The data of a channel command; `undefined` where it has none that is laid out. */
  payload(
    command: number,
  ): { readonly name: string; readonly layout: AnyStructLayout | undefined } | undefined {
    const found = [
      ...Object.values(CCW_REFERENCE_LAYOUT.commands),
      ...Object.values(CCW_BASIC_LAYOUT.commands),
    ].find(({ code }) => code === command);
    return found && { name: found.name, layout: found.payload };
  }
}

function fieldAt(fields: Fields, offset: number, name: string | undefined): Field | undefined {
  if (name !== undefined && Object.hasOwn(fields, name)) return fields[name];
  return Object.values<Field>(fields).find(
    (field) => field.offset === offset && field.count !== "rest",
  );
}

function takeImage(offset: number, bytes: Uint8Array, image: Uint8Array, known: Uint8Array): void {
  bytes.forEach((byte, i) => {
    const at = offset + i;
    if (at >= CONFIG_BYTES || known[at] === 1) return;
    known[at] = 1;
    image[at] = byte;
  });
}

const LAYOUTS: Readonly<
  Record<number, { readonly name: string; readonly layout?: AnyStructLayout }>
> = {
  [VIRTIO_PCI_CAP.common]: { name: COMMON.name, layout: COMMON },
  [VIRTIO_PCI_CAP.isr]: { name: VIRTIO_PCI_ISR_LAYOUT.name, layout: VIRTIO_PCI_ISR_LAYOUT },
  [VIRTIO_PCI_CAP.notify]: { name: "notification" },
  [VIRTIO_PCI_CAP.device]: { name: "device configuration" },
};

function windowsOf(image: Uint8Array): Window[] {
  const view = new DataView(image.buffer);
  const found: Window[] = [];
  let at = HEADER.capabilities_pointer.get(view, 0);
  for (let i = 0; i < CONFIG_BYTES / 4 && at >= PCI_HEADER_LAYOUT.size; i++) {
    const known = LAYOUTS[CAP.cfg_type.get(view, at)];
    if (CAP.cap_vndr.get(view, at) === PCI_CAPABILITY.vendor && known !== undefined) {
      found.push({
        region: `bar${CAP.bar.get(view, at)}`,
        offset: CAP.offset.get(view, at),
        length: CAP.length.get(view, at),
        name: known.name,
        layout: known.layout,
      });
    }
    at = CAP.cap_next.get(view, at);
  }
  return found;
}

/** The bytes of hex; none where it is no hex. */
export function fromHexOrNothing(text: string): Uint8Array {
  return fromHex(text.toLowerCase()) ?? new Uint8Array(0);
}

/** QEMU's command line as data. */

/** What a machine is made from. */
export interface Machine {
  /** The kernel image. */
  readonly kernel: string;
  /** The initramfs. */
  readonly initramfs: string;
  /** RAM in MiB; 256 unless given. */
  readonly ram?: number;
  /** True when the RAM can be mapped by others, as it is unless given; else they send messages. */
  readonly sharedRam?: boolean;
  /** Sockets of vfio-user servers, each a device of its own. */
  readonly sockets?: readonly VfioUserSocket[];
  /** Files of ACPI tables, besides those of the firmware. */
  readonly acpiTables?: readonly string[];
  /** Further devices, drives and objects, as QEMU's own arguments. */
  readonly extra?: readonly string[];
  /** Words of the kernel's command line, besides those of the console. */
  readonly append?: readonly string[];
  /** Where the console goes; the terminal unless given. */
  readonly console?: ConsolePlace;
  /** The socket that results go to, where somebody listens; none unless given. */
  readonly results?: string;
}

/** A device behind a socket. */
export interface VfioUserSocket {
  /** The path. */
  readonly path: string;
  /** The slot and function, `3.0`; QEMU chooses one unless given. */
  readonly at?: string;
  /**
   * True when a write is done once the processor goes on, as writes of registers on MMIO are. Without,
   * they are posted, as on PCI: a driver that acknowledges an interrupt and then looks at its queues
   * would look before the device has heard of it, and miss the interrupt of what came in between.
   */
  readonly waitsForWrites?: boolean;
}

/** A console of QEMU's own process, with its monitor behind Ctrl-a c, or one to be read only. */
export type ConsolePlace = "terminal" | "output";

const DEFAULT_RAM = 256;
const CONSOLE_WORDS = ["console=ttyS0", "panic=-1", "quiet"];

/** The arguments of a machine, without those that every start of the program has. */
export function machineArguments(machine: Machine): string[] {
  const { ram = DEFAULT_RAM, sharedRam = true, sockets = [], extra = [], append = [] } = machine;
  const { acpiTables = [] } = machine;
  const memory = sharedRam
    ? [
        "-object",
        `memory-backend-memfd,id=ram,size=${ram}M,share=on`,
        "-machine",
        "memory-backend=ram",
      ]
    : [];
  const serial = machine.console === "output" ? ["stdio", "-monitor", "none"] : ["mon:stdio"];
  return [
    ...["-machine", "q35", "-accel", "tcg", "-cpu", "max", "-m", `${ram}`],
    ...memory,
    ...["-nodefaults", "-no-user-config", "-no-reboot", "-nic", "none"],
    ...["-display", "none", "-serial", ...serial],
    ...(machine.results === undefined
      ? ["-serial", "null"]
      : ["-chardev", `socket,id=results,path=${machine.results}`, "-serial", "chardev:results"]),
    ...["-kernel", machine.kernel, "-initrd", machine.initramfs],
    ...["-append", [...CONSOLE_WORDS, ...append].join(" ")],
    // QEMU splits at colons, and has no way around it.
    ...acpiTables.flatMap((file) => ["-acpitable", `file=${file.replaceAll(",", ",,")}`]),
    ...sockets.flatMap((socket) => ["-device", deviceArgument(socket)]),
    ...extra,
  ];
}

/** The argument of one device; JSON, as a path may have commas. */
function deviceArgument({ path, at, waitsForWrites = false }: VfioUserSocket): string {
  return JSON.stringify({
    driver: "vfio-user-pci",
    socket: { type: "unix", path },
    ...(at === undefined ? {} : { addr: at }),
    ...(waitsForWrites ? { "x-no-posted-writes": true } : {}),
  });
}

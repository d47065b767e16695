/** `virtio-admin serve FILE`: every device of a group at a vfio-user socket, until a signal comes. */
import process from "node:process";
import { PrettySink, type TraceEvent, type TraceSink, VirtioError } from "@virtio-admin/core";
import { exitCodeOf } from "../exit-codes.ts";
import type { GroupDescription } from "../group/description.ts";
import { type GroupFile, readGroupFile } from "../group/group-file.ts";
import type { Output } from "../output.ts";
import { processName } from "../process-name.ts";
import type { DeviceName } from "../serve/devices.ts";
import { openDirectory } from "../serve/directory.ts";
import { qemuWords, shellLine } from "../serve/qemu.ts";
import { Recording } from "../serve/recording.ts";
import { type ServedDevice, type ServedGroup, serveGroup } from "../serve/served-group.ts";

/** The options of `serve`. */
export interface ServeOptions {
  /** The directory of the sockets; one of the user's own unless given. */
  readonly dir?: string;
  /** Tolerates nothing that stock drivers do and the text does not allow. */
  readonly strict?: boolean;
  /** Records the owner to this file. */
  readonly record?: string;
  /** Prints the owner's commands to standard error. */
  readonly trace?: boolean;
  /** For how many milliseconds a device is polled after its last buffer. */
  readonly pollTime: number;
}

/** The most devices of one guest that are shown: the bus of its machine has 32 slots. */
const IN_ONE_GUEST = 24;

/** What is open while a group is served; ended in the reverse order. */
type Ends = (() => Promise<void> | void)[];

/**
 * Serves the group of a file; 0 when a signal ended it, 1 when the device refuses what is
 * provisioned, 2 for a file or words that are wrong, 3 where something is missing or busy.
 */
export async function serve(file: string, options: ServeOptions, output: Output): Promise<number> {
  const ends: Ends = [];
  const signalled = new Promise<void>((resolve) => {
    for (const signal of ["SIGINT", "SIGTERM"] as const) {
      const stop = () => resolve();
      process.on(signal, stop);
      ends.push(() => void process.off(signal, stop));
    }
  });
  try {
    const read = readGroupFile(file);
    checkTransport(read);
    const served = await open(file, read, options, output, ends);
    if (served === undefined) return 1;
    report(read.description, served, options.strict === true, output);
    // Pending sockets do not keep the process, and promises neither.
    const alive = setInterval(() => {}, 2 ** 30);
    ends.push(() => clearInterval(alive));
    await signalled;
    return 0;
  } catch (error) {
    const code = exitCodeOf(error);
    output.error((error as VirtioError).message);
    return code;
  } finally {
    for (const end of ends.reverse()) await end();
  }
}

function checkTransport({ description, placeOf }: GroupFile): void {
  if (description.transport === "pci") return;
  throw new VirtioError("GROUP_INVALID", {
    path: `${placeOf(["transport"])}: transport`,
    message: "what is served are PCI functions",
    value: description.transport,
  });
}

async function open(
  file: string,
  { description, document, placeOf }: GroupFile,
  { dir, strict = false, record, trace = false, pollTime }: ServeOptions,
  output: Output,
  ends: Ends,
): Promise<ServedGroup | undefined> {
  const directory = openDirectory(dir, file);
  ends.push(() => directory.leave());
  const sinks: TraceSink[] = [];
  if (trace) sinks.push(commandsTo(output));
  const served = await serveGroup(description, {
    directory: directory.path,
    strict,
    pollTime,
    trace: trace || record !== undefined ? { emit: (event) => emitTo(sinks, event) } : undefined,
    connected: (name, pid) => {
      output.event(`${nameOf(name)}: held by ${processName(pid)}`, {
        event: "connected",
        ...fieldsOf(name),
        ...(pid === undefined ? {} : { pid }),
      });
    },
    disconnected: (name, reason) => {
      output.event(`${nameOf(name)}: free${reason === undefined ? "" : `; ${reason}`}`, {
        event: "disconnected",
        ...fieldsOf(name),
        ...(reason === undefined ? {} : { reason }),
      });
    },
  });
  if ("refused" in served) {
    const { member, path, refused } = served;
    output.error(`${placeOf(path)}: member ${member}: the device answered ${refused}`);
    return undefined;
  }
  let recording: Recording | undefined;
  ends.push(async () => {
    await served.close();
    recording?.close();
  });
  // Not before: the sockets tell whether another process serves, and records, the group.
  if (record !== undefined) {
    const made = { made_by: "serve", strict, group: document } as const;
    const ended = (why: string) => output.error(`${record}: the record ends: ${why}`);
    recording = new Recording(record, made, () => served.memberStates(), ended);
    sinks.push(recording);
  }
  return served;
}

function report(
  { owner, group }: GroupDescription,
  { type, devices }: ServedGroup,
  strict: boolean,
  output: Output,
): void {
  const sockets = devices.map(({ socket }) => socket);
  const [ownerSocket = "", firstMember = ""] = sockets;
  const command = qemuWords(...sockets.slice(0, IN_ONE_GUEST));
  const all = sockets.length <= IN_ONE_GUEST ? "All of them" : `The first ${IN_ONE_GUEST}`;
  output.line(
    `${group.type} group of ${group.members.length} ${owner.device} devices, ` +
      (strict ? "strict" : "tolerant of what stock drivers do"),
  );
  for (const { name, socket } of devices) output.line(`  ${nameOf(name).padEnd(12)} ${socket}`);
  output.line();
  output.line(`${all} in one guest; add its disk, or -kernel, -initrd and -append:`);
  output.line(shellLine(command));
  output.line();
  output.line("Or each in a guest of its own: the owner's, and a member's:");
  output.line(shellLine(qemuWords(ownerSocket)));
  output.line(shellLine(qemuWords(firstMember)));
  output.line();
  output.line("To manage the members while no guest has the owner:");
  output.line(`virtio-admin ctl ${shellLine([ownerSocket])} members`);
  output.event(undefined, {
    event: "serving",
    pid: process.pid,
    strict,
    group: { type: group.type, id: type },
    owner: deviceFields(devices[0]),
    members: devices
      .slice(1)
      .map((device) => ({ ...fieldsOf(device.name), ...deviceFields(device) })),
    qemu: command,
  });
}

function deviceFields(device: ServedDevice | undefined) {
  const { vendorId = 0, deviceId = 0 } = device?.pci.placement.identity ?? {};
  return {
    socket: device?.socket,
    vendor_id: vendorId,
    device_id: deviceId,
  };
}

function nameOf(name: DeviceName): string {
  return name === "owner" ? name : `member ${name}`;
}

function fieldsOf(name: DeviceName): { readonly device: string; readonly member?: number } {
  return name === "owner" ? { device: name } : { device: "member", member: name };
}

/** A sink that prints commands alone. */
function commandsTo(output: Output): TraceSink {
  const pretty = new PrettySink((line) => output.trace(line));
  return {
    emit: (event) => {
      if (event.op === "command") pretty.emit(event);
    },
  };
}

function emitTo(sinks: readonly TraceSink[], event: TraceEvent): void {
  for (const sink of sinks) sink.emit(event);
}

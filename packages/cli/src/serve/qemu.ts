/** How QEMU is told of a device behind a socket. */

/** What a guest has before any device: memory that this process can map, and a console. */
const MACHINE = [
  "qemu-system-x86_64",
  ...["-machine", "q35,memory-backend=ram", "-cpu", "max", "-m", "256M"],
  ...["-object", "memory-backend-memfd,id=ram,size=256M,share=on"],
  ...["-nographic", "-nic", "none"],
];
/** What a shell takes as it stands. */
const PLAIN = /^[\w@%+=:,./-]+$/;

/** The words of a command that starts a guest with these sockets' devices; the guest is to come. */
export function qemuWords(...sockets: readonly string[]): readonly string[] {
  return [...MACHINE, ...sockets.flatMap((path) => ["-device", deviceWord(path)])];
}

/** The words as a line for a shell. */
export function shellLine(words: readonly string[]): string {
  return words
    .map((word) => (PLAIN.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`))
    .join(" ");
}

/** JSON, as a path may have commas. */
function deviceWord(path: string): string {
  return JSON.stringify({ driver: "vfio-user-pci", socket: { type: "unix", path } });
}

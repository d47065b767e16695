/** The command line of QEMU. */
import { describe, expect, it } from "vitest";
import { machineArguments } from "../src/qemu/arguments.ts";

const machine = { kernel: "/k", initramfs: "/i" };

function after(args: readonly string[], option: string): readonly string[] {
  return args.flatMap((each, i) => (each === option ? [args[i + 1] ?? ""] : []));
}

describe("the command line", () => {
  it("boots a kernel under emulation, with memory that can be mapped", () => {
    const args = machineArguments(machine);
    expect(after(args, "-kernel")).toEqual(["/k"]);
    expect(after(args, "-initrd")).toEqual(["/i"]);
    expect(after(args, "-accel")).toEqual(["tcg"]);
    expect(after(args, "-object")).toEqual(["memory-backend-memfd,id=ram,size=256M,share=on"]);
    expect(after(args, "-append")).toEqual(["console=ttyS0 panic=-1 quiet"]);
    expect(args).toContain("-no-reboot");
  });

  it("has memory of its own when it is not to be shared", () => {
    const args = machineArguments({ ...machine, sharedRam: false, ram: 128 });
    expect(after(args, "-m")).toEqual(["128"]);
    expect(args.join(" ")).not.toContain("memory-backend");
  });

  it("has a device for each socket, whatever is in its path", () => {
    const sockets = [
      { path: '/a,b "c"' },
      { path: "/d", at: "3.0" },
      { path: "/e", waitsForWrites: true },
    ];
    const devices = after(machineArguments({ ...machine, sockets }), "-device");
    expect(devices.map((text) => JSON.parse(text))).toEqual([
      { driver: "vfio-user-pci", socket: { type: "unix", path: '/a,b "c"' } },
      { driver: "vfio-user-pci", socket: { type: "unix", path: "/d" }, addr: "3.0" },
      {
        driver: "vfio-user-pci",
        socket: { type: "unix", path: "/e" },
        "x-no-posted-writes": true,
      },
    ]);
  });

  it("has a second serial line for results, the console first", () => {
    const args = machineArguments({ ...machine, console: "output", results: "/r" });
    expect(after(args, "-serial")).toEqual(["stdio", "chardev:results"]);
    expect(after(args, "-chardev")).toEqual(["socket,id=results,path=/r"]);
    expect(after(args, "-monitor")).toEqual(["none"]);
  });

  it("gives the terminal to a guest that is used by hand", () => {
    const args = machineArguments({ ...machine, append: ["x=1"] });
    expect(after(args, "-serial")).toEqual(["mon:stdio", "null"]);
    expect(after(args, "-append")).toEqual(["console=ttyS0 panic=-1 quiet x=1"]);
  });
});

/** What a machine under qtest is asked and started with. */
import { PassThrough } from "node:stream";
import { describe, expect, it } from "vitest";
import { QemuMonitor } from "../src/qemu/monitor.ts";
import { AARCH64_VIRT, MICROVM, Q35, RISCV64_VIRT } from "../src/qtest/boards.ts";
import { qtestArguments } from "../src/qtest/machine.ts";

const GREETING = '{"QMP": {"version": {}, "capabilities": []}}';

/** A monitor that knows these types of objects without a name; `answer` may say something else. */
function machine(types: readonly string[], answer?: (question: string) => string) {
  const input = new PassThrough();
  const output = new PassThrough();
  output.write(`${GREETING}\n`);
  const usual = (text: string): string => {
    const { execute, arguments: args } = JSON.parse(text);
    if (execute === "qmp_capabilities") return '{"return": {}}';
    const index = Number(/^\/machine\/unattached\/device\[(\d+)\]$/.exec(args.path)?.[1]);
    const type = args.property === "type" ? types[index] : undefined;
    return type === undefined
      ? '{"error": {"class": "DeviceNotFound", "desc": "no"}}'
      : `{"event": "X", "data": {}}\n{"return": ${JSON.stringify(type)}}`;
  };
  input.on("data", (bytes: Buffer) => {
    for (const line of bytes.toString().trim().split("\n")) {
      setImmediate(() => output.write(`${(answer ?? usual)(line)}\n`));
    }
  });
  return { input, output };
}

describe("the monitor", () => {
  it("finds an object by its type, the first of several", async () => {
    const { input, output } = machine(["a", "b", "arm_gic", "arm_gic"]);
    const monitor = await QemuMonitor.open(input, output);
    expect(await monitor.find("arm_gic")).toBe("/machine/unattached/device[2]");
    expect(await monitor.find("a")).toBe("/machine/unattached/device[0]");
  });

  it("says what the machine does not have, and ends its search", async () => {
    const { input, output } = machine(["a"]);
    const monitor = await QemuMonitor.open(input, output);
    await expect(monitor.find("b")).rejects.toThrow("the machine has no b");
    const endless = machine(new Array(10_000).fill("a"));
    const other = await QemuMonitor.open(endless.input, endless.output);
    await expect(other.find("b")).rejects.toMatchObject({ code: "TRANSPORT" });
  });

  it.each(["nonsense", "{", ""])("does not go on after %j", async (answer) => {
    const { input, output } = machine([], () => answer);
    await expect(QemuMonitor.open(input, output)).rejects.toMatchObject({ code: "TRANSPORT" });
  });

  it("does not go on when the machine has gone", async () => {
    const { input, output } = machine(["a"]);
    const monitor = await QemuMonitor.open(input, output);
    output.destroy();
    await new Promise((resolve) => output.once("close", resolve));
    await expect(monitor.find("a")).rejects.toThrow("the monitor is gone");
  });

  it("asks one question at a time", async () => {
    const { input, output } = machine(["a"]);
    const monitor = await QemuMonitor.open(input, output);
    const first = monitor.find("a");
    await expect(monitor.find("a")).rejects.toThrow("under way");
    expect(await first).toBe("/machine/unattached/device[0]");
  });
});

describe("the command line", () => {
  it.each([
    ["q35", Q35],
    ["microvm", MICROVM],
    ["aarch64", AARCH64_VIRT],
    ["riscv64", RISCV64_VIRT],
  ])("has RAM in a file, and processors that do not run: %s", (_name, board) => {
    const args = qtestArguments(board, '/a,b/"ram"', "/a,b/sock");
    expect(args.slice(0, board.arguments.length)).toEqual(board.arguments);
    const after = (option: string): string => args[args.indexOf(option) + 1] ?? "";
    expect(JSON.parse(after("-object"))).toMatchObject({ "mem-path": '/a,b/"ram"', share: true });
    expect(after("-accel")).toBe("qtest");
    expect(after("-chardev")).toBe("socket,id=qtest,path=/a,,b/sock");
  });
});

import { ADMIN_QUALIFIER, ADMIN_STATUS } from "@virtio-admin/core";
import { COMMAND_PLACES, PROPOSAL_V5_PLACES, REGISTERED_FAMILIES } from "@virtio-admin/fixtures";
import { describe, expect, it } from "vitest";
import { run } from "./command.ts";

const COMMANDS = REGISTERED_FAMILIES.flatMap(({ commands }) => commands);

describe("virtio-admin commands", () => {
  it("lists every command by opcode, and every scenario holds", async () => {
    const { code, out } = await run("commands");
    expect(code).toBe(0);
    for (const { opcode, name } of COMMANDS) {
      expect(out).toContain(`0x${opcode.toString(16).padStart(4, "0")} │ ${name}`);
    }
    expect(out).toMatch(/\d+ scenarios played: \d+ hold, 0 do not\n$/);
  });

  it("names the scenarios of one command, and why it never succeeds in a place", async () => {
    const { code, out } = await run("commands", "--command", "FEATURES_SET");
    expect(code).toBe(0);
    expect(out).toContain("FEATURES_SET, device half, ccw, platform");
    expect(out).toContain("  - features-set-busy: ");
    expect(out).toContain("  + none: mmio has no SR-IOV groups");
  });

  it("gives the whole register as JSON", async () => {
    const { code, out } = await run("commands", "--json");
    expect(code).toBe(0);
    const { register, held, failed } = JSON.parse(out);
    const ratified = register.filter(
      ({ dialect }: { dialect: string }) => dialect === "virtio-1.4",
    );
    expect(ratified).toHaveLength(COMMANDS.length * COMMAND_PLACES.length * 2);
    expect(register.length - ratified.length).toBe(7 * PROPOSAL_V5_PLACES.length * 2);
    expect(failed).toBe(0);
    expect(held).toBeGreaterThan(register.length);
    for (const { positive, negative } of register) {
      expect(positive.scenarios.length > 0 || positive.reason !== undefined).toBe(true);
      expect(negative.scenarios.length).toBeGreaterThan(0);
    }
  });

  it("does not know a command that there is not", async () => {
    const { code, err } = await run("commands", "--command", "NOP");
    expect(code).toBe(2);
    expect(err).toContain("there is no command NOP");
  });
});

describe("virtio-admin outcomes", () => {
  it("provokes every status and qualifier on every transport, and says how", async () => {
    const { code, out } = await run("outcomes");
    for (const name of Object.keys(ADMIN_STATUS)) expect(out).toContain(`status ${name} `);
    for (const name of Object.keys(ADMIN_QUALIFIER)) expect(out).toContain(`qualifier ${name} `);
    expect(out).toMatch(/\d+ statuses and qualifiers, 0 not provoked everywhere\n$/);
    expect(code).toBe(0);
  });

  it("gives the same as JSON", async () => {
    const { code, out } = await run("outcomes", "--json");
    expect(code).toBe(0);
    const { outcomes, missing } = JSON.parse(out);
    expect(missing).toEqual([]);
    for (const { provoked } of outcomes) {
      for (const transport of ["pci", "mmio", "ccw"]) {
        expect(provoked).toContainEqual(expect.objectContaining({ transport, right: true }));
      }
    }
  });
});

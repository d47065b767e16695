import { readFileSync } from "node:fs";
import {
  ADMIN_COMMAND_HEADER,
  CAPS_ACCEPT,
  CAPS_IDENTIFY,
  LIST_QUERY,
  LIST_USE,
  PROPOSAL_V5_COMMAND_HEADER,
} from "@virtio-admin/core";
import {
  PROPOSAL_V5_PCI_CAP_MISC,
  PROPOSAL_V5_PCI_MISC_CFG_LAYOUT,
  VIRTIO_PCI_COMMON_CFG_LAYOUT,
} from "@virtio-admin/transport-pci";
import { describe, expect, it } from "vitest";
import { run } from "./command.ts";

interface Document {
  readonly dialects: readonly {
    readonly name: string;
    readonly label: string;
    readonly reconstruction: boolean;
    readonly command: { readonly size: number; readonly fields: readonly object[] };
    readonly commands: readonly { readonly opcode: number; readonly name: string }[];
  }[];
  readonly ideas: readonly {
    readonly idea: string;
    readonly forms: Readonly<Record<string, string>>;
  }[];
  readonly outcomes: readonly {
    readonly outcome: string;
    readonly answers: Readonly<Record<string, readonly number[]>>;
  }[];
}

async function document(): Promise<Document> {
  const { code, out } = await run("dialects", "--json");
  expect(code).toBe(0);
  return JSON.parse(out) as Document;
}

describe("virtio-admin dialects", () => {
  it("prints what became of each idea, the reconstruction labelled", async () => {
    const { code, out } = await run("dialects");
    expect(code).toBe(0);
    for (const text of ["proposal-v5 (reconstruction)", "virtio-1.4", "dst_type", "CAPS_ACCEPT"]) {
      expect(out).toContain(text);
    }
  });

  it("takes offsets, numbers and names from the declarations", async () => {
    const { ideas } = await document();
    const forms = (idea: string) => {
      const found = ideas.find((one) => one.idea === idea)?.forms;
      return [found?.["proposal-v5"] ?? "", found?.["virtio-1.4"] ?? ""];
    };
    const [here, there] = forms("a command");
    for (const [text, { fields }] of [
      [here, PROPOSAL_V5_COMMAND_HEADER],
      [there, ADMIN_COMMAND_HEADER],
    ] as const) {
      for (const { name, offset } of Object.values(fields)) {
        expect(text).toMatch(new RegExp(`${name} \\S+ at ${offset}(,|$)`));
      }
    }
    const [agreed, listed] = forms("agreeing on commands");
    for (const { name } of [CAPS_IDENTIFY, CAPS_ACCEPT]) expect(agreed).toContain(name);
    for (const { name } of [LIST_QUERY, LIST_USE]) expect(listed).toContain(name);
    const [misc, common] = forms("admin_queue_index on pci");
    expect(misc).toContain(PROPOSAL_V5_PCI_MISC_CFG_LAYOUT.name);
    expect(misc).toContain(`cfg_type ${PROPOSAL_V5_PCI_CAP_MISC}`);
    const { admin_queue_index, admin_queue_num } = VIRTIO_PCI_COMMON_CFG_LAYOUT.fields;
    expect(common).toContain(`${admin_queue_index.offset} and ${admin_queue_num.offset}`);
    expect(forms("the order of the checks")).toEqual([
      "command, dst_type, dst_member_id",
      "group_type, opcode, group_member_id",
    ]);
  });

  it("has a form of every idea in both dialects", async () => {
    const { ideas, dialects } = await document();
    expect(ideas.length).toBeGreaterThanOrEqual(15);
    for (const { idea, forms } of ideas) {
      expect(Object.keys(forms)).toEqual(dialects.map(({ name }) => name));
      for (const form of Object.values(forms)) {
        expect([idea, form.length > 2]).toEqual([idea, true]);
        expect(form).not.toContain("undefined");
      }
    }
  });

  it("says in JSON which dialect is a reconstruction, and what is in each", async () => {
    const { dialects, outcomes } = await document();
    expect(dialects.map(({ label, reconstruction }) => [label, reconstruction])).toEqual([
      ["proposal-v5 (reconstruction)", true],
      ["virtio-1.4", false],
    ]);
    expect(dialects.map(({ command }) => command.size)).toEqual([16, 24]);
    expect(dialects.map(({ commands }) => commands.map(({ opcode }) => opcode))).toEqual([
      [0, 1, 2, 3, 4, 5, 6],
      [0, 1, 0x100, 0x101, 0x102, 0x103, 0x104],
    ]);
    const of = (name: string) => outcomes.find(({ outcome }) => outcome === name)?.answers;
    expect(of("EINVAL, INVALID_MEMBER")).toEqual({ "virtio-1.4": [22, 5], "proposal-v5": [3, 0] });
    expect(of("EBUSY, INVALID_COMMAND")).toEqual({ "virtio-1.4": [16, 1], "proposal-v5": [1, 16] });
  });

  it("prints the document that stands in docs/dialects.md", async () => {
    const { code, out } = await run("dialects", "--markdown");
    expect(code).toBe(0);
    const path = new URL("../../../docs/dialects.md", import.meta.url);
    expect(readFileSync(path, "utf8")).toBe(out);
  });

  it("prints one form at a time", async () => {
    expect((await run("dialects", "--markdown", "--json")).code).toBe(2);
  });
});

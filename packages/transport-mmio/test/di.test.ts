import { connectOwner, container, resolveTransport } from "@virtio-admin/core/di";
import { describe, expect, test } from "vitest";
import { registerMmio } from "../src/di.ts";
import { MMIO_RATIFIED_LAYOUT, MMIO_TRANSPORT } from "../src/index.ts";

describe("registerMmio", () => {
  test("registers the transport under its name, made once", () => {
    const own = container.createChildContainer();
    registerMmio(own);
    const transport = resolveTransport(own, "mmio");
    expect(transport.description).toEqual(MMIO_TRANSPORT.description);
    expect(resolveTransport(own, "mmio")).toBe(transport);
    expect(() => connectOwner(own, "mmio")).toThrow(expect.objectContaining({ code: "INJECTION" }));
  });

  test("takes a layout", () => {
    const own = container.createChildContainer();
    registerMmio(own, { layout: MMIO_RATIFIED_LAYOUT });
    const { description } = resolveTransport(own, "mmio");
    expect(description.adminQueueLocation).toBe("none");
    expect(description.reservedFeatures).toContain(41);
  });
});

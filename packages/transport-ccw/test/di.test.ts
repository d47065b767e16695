import { connectOwner, container, resolveTransport } from "@virtio-admin/core/di";
import {
  CCW_RATIFIED_LAYOUT,
  CCW_REFERENCE_LAYOUT,
  CCW_TRANSPORT,
} from "@virtio-admin/transport-ccw";
import { registerCcw } from "@virtio-admin/transport-ccw/di";
import { describe, expect, it } from "vitest";

describe("registerCcw", () => {
  it("registers the transport under its name, once made", () => {
    const own = container.createChildContainer();
    registerCcw(own);
    const transport = resolveTransport(own, "ccw");
    expect(transport.description).toEqual(CCW_TRANSPORT.description);
    expect(resolveTransport(own, "ccw")).toBe(transport);
    expect(() => connectOwner(own, "ccw")).toThrow(expect.objectContaining({ code: "INJECTION" }));
  });

  it("takes a layout", () => {
    const own = container.createChildContainer();
    registerCcw(own, { layout: CCW_RATIFIED_LAYOUT });
    const { description } = resolveTransport(own, "ccw");
    expect(description.adminQueueLocation).toBe("none");
    expect(description.reservedFeatures).toContain(41);
    expect(description.layouts).not.toContain(CCW_REFERENCE_LAYOUT);
  });
});

describe("the description of the reference layout", () => {
  it("says where the administration virtqueues are", () => {
    expect(CCW_TRANSPORT.description).toMatchObject({
      adminQueueLocation: "command READ_ADMIN_VQ 0x92",
      adminQueueForm: "be16, be16",
      adminQueueGate: "revision 3 selected, VIRTIO_F_ADMIN_VQ negotiated",
    });
  });
});

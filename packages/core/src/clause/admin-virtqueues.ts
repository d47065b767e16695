/** Clauses of the administration virtqueues: how commands travel, on any transport. */
import { defineSection, type SectionContext } from "./section.ts";

const CONTEXT: SectionContext = { scope: "admin", file: "admin.tex" };
const PATH = "Basic Facilities of a Virtio Device / Administration virtqueues";
const TITLE = "Group administration commands";

/** Sections of the administration virtqueues; see {@link CLAUSE_SECTIONS}. */
export const ADMIN_VIRTQUEUE_SECTIONS = [
  defineSection(CONTEXT, {
    slug: "admin-vq",
    role: "transport",
    title: "Administration Virtqueues",
    label: "sec:Basic Facilities of a Virtio Device / Administration Virtqueues",
    rules: {
      "1 must":
        "Once VIRTIO_F_ADMIN_VQ is negotiated, the transport exposes how many administration virtqueues there are and where they begin.",
      "2 must":
        "One buffer carries one command, the readable part followed by the writable part, however each is cut into descriptors.",
      "3 must": "A command is used on the same virtqueue on which it was made available.",
    },
  }),
  defineSection(CONTEXT, {
    slug: "admin-vq-device",
    role: "device",
    title: TITLE,
    label: `devicenormative:${PATH}`,
    rules: {
      "1 must": "The device takes bytes that a short readable part lacks as zero.",
      "2 must":
        "The device drops the bytes of status and result that a short writable part has no room for.",
      "3 must": "The device pays no attention to readable bytes beyond the expected length.",
      "4 must":
        "The device writes no more than the expected structure into a writable part that is longer.",
      "5 must": "The used length is the number of bytes that the device wrote.",
      "6 should":
        "The device initializes the writable part up to the shorter of structure and buffer, even where all of it is zero.",
      "7 must-not":
        "The device does not fail a command only because its buffers are short or long.",
      "8 must": "The length that the device initializes is a multiple of eight bytes.",
      "9 must": "The device initializes status and status_qualifier of every command.",
      "10 must":
        "Commands that share an administration virtqueue are processed first in, first out.",
      "11 may":
        "The device may process commands of distinct administration virtqueues in any order.",
      "12 must-not":
        "A command that completes with EAGAIN or ENOMEM has no side effect, so that it can be repeated.",
    },
  }),
  defineSection(CONTEXT, {
    slug: "admin-vq-driver",
    role: "driver",
    title: TITLE,
    label: `drivernormative:${PATH}`,
    rules: {
      "1 may": "The driver may supply readable or writable parts longer than the structures.",
      "2 should":
        "The driver supplies a readable part at least as long as the structure, zeros included.",
      "3 must": "The lengths of both parts that the driver supplies are multiples of eight bytes.",
      "4 must": "Neither part that the driver supplies is empty.",
      "5 may": "Data and result that belong to one command alone may have length zero.",
      "6 must-not":
        "The driver does not rely on the device to initialize all of the writable part.",
      "7 must": "The driver reads bytes of the writable part beyond the used length as zero.",
      "8 must":
        "The driver itself orders commands that it places on different administration virtqueues.",
      "9 should": "The driver repeats a command that completed with EAGAIN.",
    },
  }),
] as const;

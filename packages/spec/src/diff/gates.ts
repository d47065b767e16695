/** Which gates let in only those who know the new revision of a layout. */
import { FEATURE, type Gate, type Layout } from "@virtio-admin/core";

/** Tells gates that are new from those that sides of the old layout pass too. */
export class NewGates {
  // Whoever knows the specification at all negotiates it.
  readonly #features = new Set<number>([FEATURE.VIRTIO_F_VERSION_1]);
  #revision = -1;

  /** What is new to who knows the old layout. */
  constructor(before: Layout) {
    this.#add(before);
  }

  /** True when nobody passes it who knows only the old layout. */
  has({ feature, revision }: Gate): boolean {
    if (feature !== undefined && !this.#features.has(feature)) return true;
    return revision !== undefined && revision > this.#revision;
  }

  #add(layout: Layout): void {
    if (layout.kind === "commands") {
      for (const { gate, payload } of Object.values(layout.commands)) {
        this.#pass(gate);
        if (payload !== undefined) this.#add(payload);
      }
      return;
    }
    this.#pass(layout.gate);
    const fields = layout.kind === "registers" ? layout.registers : layout.fields;
    for (const { gate } of Object.values(fields)) this.#pass(gate);
  }

  #pass(gate: Gate | undefined): void {
    if (gate?.feature !== undefined) this.#features.add(gate.feature);
    this.#revision = Math.max(this.#revision, gate?.revision ?? -1);
  }
}

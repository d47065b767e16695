/** What a case is given: the transport, and benches to test it on. */
import type { TransportDescription } from "@virtio-admin/core";
import { FEATURE, featureName } from "@virtio-admin/core";
import type { TransportFixture } from "../fixture.ts";
import { DeviceBench, type DeviceBenchOptions } from "./device-bench.ts";
import { DriverBench, type DriverBenchOptions } from "./driver-bench.ts";
import { type LegacyBench, openLegacyBench } from "./legacy-bench.ts";

/** Ends a case whose rule does not apply to the transport. */
export class Skipped extends Error {}

/** The transport under test, as a case sees it. */
export class ComplianceContext {
  /** The transport. */
  readonly fixture: TransportFixture;
  readonly #closers: (() => void | Promise<void>)[] = [];

  /** Makes the context of one case. */
  constructor(fixture: TransportFixture) {
    this.fixture = fixture;
  }

  /** What the transport says of itself. */
  get transport(): TransportDescription {
    return this.fixture.plugin.description;
  }

  /** True when the transport can carry this feature. */
  carries(feature: number): boolean {
    return !this.transport.reservedFeatures.includes(feature);
  }

  /** True when the transport can carry administration virtqueues. */
  get carriesAdminQueues(): boolean {
    return this.carries(FEATURE.VIRTIO_F_ADMIN_VQ);
  }

  /** Ends the case: its rule does not apply, and `reason` says why. */
  skip(reason: string): never {
    throw new Skipped(reason);
  }

  /** Skips a case about features that the transport cannot carry. */
  needs(features: readonly number[]): void {
    const reserved = features.find((feature) => !this.carries(feature));
    if (reserved === undefined) return;
    this.skip(`${featureName(reserved)} is reserved on this ${this.transport.name} transport`);
  }

  /** Skips a case about administration virtqueues where the transport cannot have any. */
  needsAdminQueues(): void {
    if (!this.carriesAdminQueues) {
      this.skip(`VIRTIO_F_ADMIN_VQ is reserved on this ${this.transport.name} transport`);
    }
  }

  /** Skips a case about the dialect proposal-v5 where the transport does not carry it. */
  needsProposalV5(): void {
    this.needsAdminQueues();
    const { name, dialects = [] } = this.transport;
    if (!dialects.some((each) => each.name === "proposal-v5")) {
      this.skip(`this ${name} transport does not carry proposal-v5, a reconstruction`);
    }
  }

  /** A real device behind the transport, found and listened to, not brought up. */
  async device(options?: DeviceBenchOptions): Promise<DeviceBench> {
    const bench = this.unopenedDevice(options);
    await bench.open();
    return bench;
  }

  /** A real device behind the transport, whose driver half has not looked for it yet. */
  unopenedDevice(options?: DeviceBenchOptions): DeviceBench {
    const bench = new DeviceBench(this.fixture, options);
    this.#closers.push(() => bench.close());
    return bench;
  }

  /** A device that runs and owns members with a legacy interface; skips where there are none. */
  async legacyOwner(): Promise<LegacyBench> {
    const { fixture } = this;
    if (fixture.legacyOwner === undefined) {
      this.skip(`no member on ${this.transport.name} has a legacy interface`);
    }
    return openLegacyBench(fixture.legacyOwner.bind(fixture), (legacy) => this.device({ legacy }));
  }

  /** A device that says what the case wants, behind the transport. */
  driver(options?: DriverBenchOptions): DriverBench {
    const bench = new DriverBench(this.fixture, options);
    this.#closers.push(() => bench.close());
    return bench;
  }

  /** Takes apart whatever the case made. */
  async close(): Promise<void> {
    for (const close of this.#closers.splice(0)) await close();
  }
}

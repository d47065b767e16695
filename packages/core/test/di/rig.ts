/** What owners, members and hosts are registered from in these tests. */
import {
  DEVICE_MODEL,
  type DependencyContainer,
  DMA,
  GUEST_MEMORY,
  type Scope,
  TRANSPORT,
} from "@virtio-admin/core/di";
import type { DeviceHost, DeviceModel } from "../../src/device/index.ts";
import type { LoopbackPair, TransportPlugin } from "../../src/transport/index.ts";
import { DirectTransport, makeMemory } from "../direct-transport.ts";

/** Counts what happens to it. */
export class TestModel implements DeviceModel {
  readonly name = "test";
  readonly deviceId = 4;
  readonly features: readonly number[] = [];
  readonly queues = [{ name: "requestq", maxSize: 8 }];
  host: DeviceHost | undefined;
  resets = 0;

  attach(host: DeviceHost): void {
    this.host = host;
  }

  queueNotified(): void {}

  reset(): void {
    this.resets++;
  }
}

/** A transport of this name that calls the device core; `log` hears of connections. */
export function transport(name: string, log: string[] = []): TransportPlugin {
  return {
    description: {
      name,
      title: name,
      layouts: [],
      adminQueueLocation: "",
      adminQueueForm: "",
      adminQueueGate: "",
      adminQueueStatus: "reference layout",
      groupTypes: [],
      interrupts: "",
      queueReset: "",
      reservedFeatures: [],
    },
    loopback: (device, { dma }): LoopbackPair => {
      log.push(`${name} connected`);
      return {
        driver: new DirectTransport(device, dma),
        close: () => log.push(`${name} closed`),
      };
    },
  };
}

/** Registers a device in memory of its own. */
export function registerDevice(
  container: DependencyContainer,
  model: TestModel = new TestModel(),
): void {
  const { memory, dma } = makeMemory();
  container.registerInstance(DEVICE_MODEL, model);
  container.registerInstance(GUEST_MEMORY, memory);
  container.registerInstance(DMA, dma);
}

/** The same in a scope, as a plan of a host wants it. */
export const registerParts = ({ container }: Scope): void => registerDevice(container);

/** Registers {@link transport} under its name. */
export function registerDirect(container: DependencyContainer, log?: string[]): void {
  container.registerInstance(TRANSPORT, transport("direct", log));
}

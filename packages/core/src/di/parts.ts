/**
 * Devices from what is registered. The parts are made and checked here, one by one: a container
 * that makes them while it injects them names a parameter in its errors and not a token.
 */
import type { VirtioDevice } from "../device/device.ts";
import type { TransportFacingDevice } from "../device/types.ts";
import type { LoopbackPair, TransportPlugin } from "../transport/types.ts";
import type { DependencyContainer, InjectionToken } from "./container.ts";
import { CONTRACT, type Contract } from "./contracts.ts";
import { MemberDevice } from "./member.ts";
import { OwnerDevice } from "./owner.ts";
import {
  allOf,
  atMostOne,
  blame,
  checkRegistered,
  oneOf,
  refusal,
  type Where,
} from "./registered.ts";

/** What is written into a block of `DMA`, to see whether the device finds it in its memory. */
const MARK = Uint8Array.of(0x76, 0x69, 0x72, 0x74, 0x69, 0x6f, 0x2d, 0x61);

/** Something that was put together, and how its parts become free for another. */
export interface Composed<T> {
  /** It. */
  readonly made: T;
  /** Ends its use of what serves one device alone. */
  readonly release: () => void;
}

/** What serves one device alone, while it does. */
const inUse = new WeakSet<object>();

/** Checks that everything an owner needs is registered; nothing is made. */
export function checkOwner(container: DependencyContainer): void {
  for (const contract of [CONTRACT.model, CONTRACT.memory, CONTRACT.group]) {
    checkRegistered(container, contract);
  }
}

/** Makes the owner device of a container. */
export function makeOwner(container: DependencyContainer): Composed<OwnerDevice> {
  checkOwner(container);
  // Made first, and let go of last: all that follows may want to tell it something.
  const trace = atMostOne(container, CONTRACT.trace);
  const memory = oneOf(container, CONTRACT.memory);
  const model = oneOf(container, CONTRACT.model);
  const families = allOf(container, CONTRACT.family);
  const interfaces = allOf(container, CONTRACT.commandInterface);
  const groups = allOf(container, CONTRACT.group);
  const settings = atMostOne(container, CONTRACT.settings);
  const release = claim([
    { contract: CONTRACT.model, value: model },
    ...groups.map((value) => ({ contract: CONTRACT.group, value })),
  ]);
  try {
    const made = construct(container, OwnerDevice, [
      [CONTRACT.trace, trace === undefined ? [] : [trace]],
      [CONTRACT.memory, [memory]],
      [CONTRACT.model, [model]],
      [CONTRACT.family, families],
      [CONTRACT.commandInterface, interfaces],
      [CONTRACT.group, groups],
      [CONTRACT.settings, settings === undefined ? [] : [settings]],
    ]);
    return { made, release };
  } catch (error) {
    release();
    throw error;
  }
}

/** Checks that everything a member needs is registered; its device type in its own container. */
export function checkMember(container: DependencyContainer, where: Where): void {
  const { token, hint } = CONTRACT.model;
  if (!container.isRegistered(token)) {
    const message = "nothing is registered under this token for the member itself";
    throw refusal(token, where, message, hint);
  }
  checkRegistered(container, CONTRACT.memory, where);
}

/** Makes the device of a member. */
export function makeMember(container: DependencyContainer, where: Where): Composed<VirtioDevice> {
  const trace = atMostOne(container, CONTRACT.trace, where);
  const memory = oneOf(container, CONTRACT.memory, where);
  const model = oneOf(container, CONTRACT.model, where);
  const release = claim([{ contract: CONTRACT.model, value: model }], where);
  try {
    const { device } = blame(CONTRACT.model, where, "it does not make a device", () =>
      construct(container, MemberDevice, [
        [CONTRACT.trace, trace === undefined ? [] : [trace]],
        [CONTRACT.memory, [memory]],
        [CONTRACT.model, [model]],
      ]),
    );
    return { made: device, release };
  } catch (error) {
    release();
    throw error;
  }
}

/** The transport of this name, among all that are registered. */
export function transportOf(
  container: DependencyContainer,
  name: string,
  where: Where = "",
): TransportPlugin {
  const { token } = CONTRACT.transport;
  checkRegistered(container, CONTRACT.transport, where);
  const transports = allOf(container, CONTRACT.transport, where);
  const [found, second] = transports.filter(({ description }) => description.name === name);
  if (found !== undefined && second === undefined) return found;
  const names = transports.map(({ description }) => description.name).join(", ");
  const message =
    found === undefined ? "no transport has this name" : "two transports have this name";
  throw refusal(token, where, message, `registered are: ${names}`, { value: name });
}

/** Connects a device to a transport, in this process. */
export function connect(
  container: DependencyContainer,
  device: TransportFacingDevice,
  transport: TransportPlugin,
  where: Where = "",
): LoopbackPair {
  const dma = oneOf(container, CONTRACT.dma, where);
  blame(CONTRACT.dma, where, "no block of it can be had", () => {
    const block = dma.allocate(MARK.length, MARK.length);
    const { address, region } = block;
    const bytes = region.bytes.subarray(address - region.base).subarray(0, MARK.length);
    let found = false;
    try {
      bytes.set(MARK);
      const seen = new Uint8Array(MARK.length);
      found = device.memory.read(address, seen) && seen.every((byte, i) => byte === MARK[i]);
    } finally {
      bytes.fill(0);
      block.free();
    }
    if (found) return;
    const message = "its blocks are not in the memory of the device";
    throw refusal(CONTRACT.dma.token, where, message, CONTRACT.dma.hint, { value: address });
  });
  const pair: Partial<LoopbackPair> | undefined = transport.loopback(device, { dma });
  if (typeof pair?.close === "function" && typeof pair.driver === "object") {
    return pair as LoopbackPair;
  }
  const { token, hint } = CONTRACT.transport;
  throw refusal(token, where, "its loopback returned no driver half to close", hint, {
    value: transport.description.name,
  });
}

interface Claim {
  readonly contract: Contract<unknown>;
  readonly value: object;
}

/** Takes what serves one device alone; returns what gives it back. */
function claim(claims: readonly Claim[], where: Where = ""): () => void {
  for (const { contract, value } of claims) {
    if (!inUse.has(value)) continue;
    const message = "what is registered under this token serves another device already";
    throw refusal(contract.token, where, message, contract.hint);
  }
  for (const { value } of claims) inUse.add(value);
  return () => {
    for (const { value } of claims) inUse.delete(value);
  };
}

/** Lets a container compose a decorated class of these parts, which are made already. */
function construct<T>(
  container: DependencyContainer,
  composition: new (...parts: never[]) => T,
  parts: readonly (readonly [Contract<unknown>, readonly unknown[]])[],
): T {
  const own = container.createChildContainer();
  // It may have begun with registrations of its parent.
  own.reset();
  for (const [{ token }, values] of parts) {
    for (const value of values) own.registerInstance(token, value);
  }
  const token: InjectionToken<T> = composition as new (...parts: unknown[]) => T;
  own.register(token, { useClass: token });
  return own.resolve(token);
}

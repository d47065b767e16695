import type { CommandInterface, CommandInterfaceBinding } from "../admin/command-interface.ts";
import { AdminQueues } from "../admin/device-queue.ts";
import { AdminExecutor } from "../admin/executor.ts";
import type { CommandFamily } from "../admin/types.ts";
import { VirtioDevice } from "../device/device.ts";
import type { AdminFacility, DeviceHost, DeviceModel } from "../device/types.ts";
import { isVirtioError } from "../errors.ts";
import type { DeviceGroup } from "../group/types.ts";
import type { GuestMemory } from "../memory/types.ts";
import type { TraceSink } from "../trace/types.ts";
import { inject, injectAll, injectable } from "./container.ts";
import { CONTRACT } from "./contracts.ts";
import { blame, laidTo, refusal } from "./registered.ts";
import {
  ADMIN_SETTINGS,
  type AdminSettings,
  COMMAND_FAMILY,
  COMMAND_INTERFACE,
  DEVICE_MODEL,
  GROUP_TYPE,
  GUEST_MEMORY,
  TRACE_SINK,
} from "./tokens.ts";

const UNFIT = "what is registered does not fit together";

/**
 * An owner device, put together from what is registered: device, executor, admin queues, and the
 * command interfaces beside them.
 */
@injectable()
export class OwnerDevice {
  /** What carries its administration commands out. */
  readonly executor: AdminExecutor;
  /** Its administration virtqueues. */
  readonly adminQueues: AdminQueues;
  /** The device, to be connected to a transport. */
  readonly device: VirtioDevice;
  readonly #bindings: ReadonlyMap<CommandInterface, CommandInterfaceBinding>;

  /**
   * Puts the owner together; a container calls it.
   *
   * @throws VirtioError `INJECTION` for parts that contradict themselves or each other, naming the
   * token of those at fault
   */
  constructor(
    @inject(DEVICE_MODEL) model: DeviceModel,
    @inject(GUEST_MEMORY) memory: GuestMemory,
    @injectAll(GROUP_TYPE) groups: readonly DeviceGroup[],
    @injectAll(COMMAND_FAMILY, { isOptional: true }) families: readonly CommandFamily[],
    @inject(ADMIN_SETTINGS, { isOptional: true }) settings?: AdminSettings,
    @inject(TRACE_SINK, { isOptional: true }) trace?: TraceSink,
    @injectAll(COMMAND_INTERFACE, { isOptional: true })
    interfaces: readonly CommandInterface[] = [],
  ) {
    const { dialect, tolerances, ...queues } = settings ?? {};
    this.executor = makeExecutor(groups, families, { dialect, tolerances });
    this.adminQueues = blame(
      CONTRACT.settings,
      "",
      UNFIT,
      () => new AdminQueues({ executor: this.executor, ...queues }),
    );
    this.#bindings = bindAll(interfaces, this.executor);
    const admin =
      this.#bindings.size === 0
        ? this.adminQueues
        : new ManyInterfaces(this.adminQueues, [...this.#bindings.values()]);
    this.device = makeDevice(model, memory, admin, trace);
  }

  /**
   * A command interface that is registered under `COMMAND_INTERFACE`, at work for this owner.
   *
   * @throws VirtioError `INJECTION` when it is not registered
   */
  commandInterface<Binding extends CommandInterfaceBinding>(
    plugin: CommandInterface<Binding>,
  ): Binding {
    const binding = this.#bindings.get(plugin);
    if (binding !== undefined) return binding as Binding;
    const { token, hint } = CONTRACT.commandInterface;
    throw refusal(token, "", "this command interface is not registered", hint, {
      value: plugin.name,
    });
  }
}

/** How the commands of an owner are understood. */
interface Speech {
  readonly dialect: AdminSettings["dialect"];
  readonly tolerances: AdminSettings["tolerances"];
}

function makeExecutor(
  groups: readonly DeviceGroup[],
  families: readonly CommandFamily[],
  { dialect, tolerances }: Speech,
): AdminExecutor {
  try {
    return new AdminExecutor({
      groups,
      families,
      ...(dialect === undefined ? {} : { dialect }),
      ...(tolerances === undefined ? {} : { tolerances }),
    });
  } catch (error) {
    // What else runs there is the families' own.
    const guilty = isVirtioError(error, "GROUP_INVALID") ? CONTRACT.group : CONTRACT.family;
    throw laidTo(guilty, "", UNFIT, error);
  }
}

function makeDevice(
  model: DeviceModel,
  memory: GuestMemory,
  admin: AdminFacility,
  trace: TraceSink | undefined,
): VirtioDevice {
  try {
    return new VirtioDevice({ model, memory, admin, ...(trace === undefined ? {} : { trace }) });
  } catch (error) {
    const isOfQueues = isVirtioError(error) && error.path?.startsWith("admin.") === true;
    throw laidTo(isOfQueues ? CONTRACT.settings : CONTRACT.model, "", UNFIT, error);
  }
}

function bindAll(
  interfaces: readonly CommandInterface[],
  executor: AdminExecutor,
): ReadonlyMap<CommandInterface, CommandInterfaceBinding> {
  const bindings = new Map<CommandInterface, CommandInterfaceBinding>();
  const names = new Set<string>();
  const { token, hint } = CONTRACT.commandInterface;
  for (const plugin of interfaces) {
    const { name } = plugin;
    if (names.has(name)) {
      throw refusal(token, "", "two command interfaces have one name", hint, { value: name });
    }
    names.add(name);
    const binding = blame(CONTRACT.commandInterface, "", UNFIT, () => plugin.bind(executor));
    if (typeof (binding as Partial<CommandInterfaceBinding> | undefined)?.reset !== "function") {
      throw refusal(token, "", "the binding of a command interface has no reset", hint, {
        value: name,
      });
    }
    bindings.set(plugin, binding);
  }
  return bindings;
}

/** The administration virtqueues, whose reset is that of the other command interfaces too. */
class ManyInterfaces implements AdminFacility {
  readonly queueCount: number;
  readonly maxSize: number;
  readonly dialect: AdminQueues["dialect"];
  readonly #queues: AdminQueues;
  readonly #others: readonly CommandInterfaceBinding[];

  constructor(queues: AdminQueues, others: readonly CommandInterfaceBinding[]) {
    this.queueCount = queues.queueCount;
    this.maxSize = queues.maxSize;
    this.dialect = queues.dialect;
    this.#queues = queues;
    this.#others = others;
  }

  attach(host: DeviceHost): void {
    this.#queues.attach(host);
  }

  start(): void {
    this.#queues.start();
  }

  queueNotified(index: number): void {
    this.#queues.queueNotified(index);
  }

  queueReset(index: number): void {
    this.#queues.queueReset(index);
  }

  reset(): void {
    this.#queues.reset();
    const failures: unknown[] = [];
    for (const other of this.#others) {
      try {
        other.reset();
      } catch (error) {
        failures.push(error);
      }
    }
    // The device core tells the trace.
    if (failures.length > 0) throw failures[0];
  }
}

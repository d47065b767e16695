/**
 * Command interfaces: what carries commands from an owner's driver to its executor. Every owner has
 * its administration virtqueues; here is the contract of those beside them.
 */
import type { AdminExecutor } from "./executor.ts";

/** A command interface at work for one owner. */
export interface CommandInterfaceBinding {
  /**
   * The device was reset, and the executor before it: nothing is under way any more, and no answer
   * to a command from before reaches the driver. Must not throw.
   */
  reset(): void;
}

/** A command interface as a plug-in. What it shows to a driver, its binding has. */
export interface CommandInterface<
  Binding extends CommandInterfaceBinding = CommandInterfaceBinding,
> {
  /** Short name, unique: `mailbox`. */
  readonly name: string;
  /** Puts the interface in front of one owner's executor, whose `execute` carries a command out. */
  bind(executor: AdminExecutor): Binding;
}

/**
 * A host for one device group, put together by containers: a scope for the group, in which its
 * owner is registered, and one within it for each member. Transports and trace sinks are the
 * application's, around them.
 */
import type { VirtioDevice } from "../device/device.ts";
import type { FeatureSet } from "../device/features.ts";
import { VirtioError } from "../errors.ts";
import { DeviceMember } from "../group/device-member.ts";
import type { DriverTransport, TransportPlugin } from "../transport/types.ts";
import { forgetOwner, resolveOwner } from "./composition.ts";
import type { DependencyContainer } from "./container.ts";
import { CONTRACT } from "./contracts.ts";
import type { DisposalError } from "./disposal.ts";
import { GroupHost, HostMember } from "./hosted.ts";
import { MEMBER } from "./members.ts";
import { checkMember, checkOwner, connect, makeMember, transportOf } from "./parts.ts";
import { checkRegistered, heldTo, refusal, type Where } from "./registered.ts";
import { createScope, Scope } from "./scope.ts";
import { nameOf } from "./tokens.ts";

/** One device of a host, and how it is reached. */
export interface DevicePlan {
  /**
   * Registers what the device is made of, in a scope of its own: `DEVICE_MODEL`, and `GUEST_MEMORY`
   * and `DMA` where they are not those of the scope around it. A promise that it returns is waited
   * for.
   */
  readonly register: (scope: Scope) => unknown;
  /**
   * The transport that the device is connected to in this process: the name of a registered one, or
   * what makes one for this device alone, such as that of an SR-IOV owner. Absent: none, the caller
   * puts a transport's device half around it.
   */
  readonly transport?: string | ((scope: Scope) => TransportPlugin);
}

/** A member of a host's group. */
export interface MemberPlan extends DevicePlan {
  /** Its identifier in the group. */
  readonly id: number;
  /** The features that the owner may switch; all that the device can offer when absent. */
  readonly settable?: FeatureSet;
}

/** What a host is composed of. */
export interface HostPlan {
  /**
   * The owner. Its scope is that of the group: what makes the owner an owner is registered there
   * too, its groups (`registerCore`, `registerPlatformGroup`), families and settings.
   */
  readonly owner: DevicePlan;
  /** The members of the group, each a whole device; none when absent. */
  readonly members?: readonly MemberPlan[];
  /**
   * Called when composing failed and, of what was made by then, something could not be let go of:
   * what is thrown is the first failure. Must not throw.
   */
  readonly onFault?: (error: DisposalError) => void;
}

/**
 * Composes a host: registers what the plan says, sees that nothing is missing, and makes the members,
 * their group, and the owner, each connected to its transport. It ends with the application's scope
 * unless it is disposed of before.
 *
 * When it cannot be composed, all that was made for it is let go of, last made first, and the first
 * error is thrown.
 *
 * @throws VirtioError `INJECTION` when a registration is missing, made twice, cannot be made, is
 * not of its contract, does not fit the others, or hides those of the application: it names the
 * token and what to register. `GROUP_INVALID` when two members have one identifier
 */
export async function composeHost(
  application: Scope | DependencyContainer,
  plan: HostPlan,
): Promise<GroupHost> {
  const { owner, members = [], onFault } = plan;
  checkIds(members);
  const scope = application instanceof Scope ? application.createChild() : createScope(application);
  // Registering may ask for the owner before it is time.
  scope.own(scope.container, forgetOwner);
  try {
    await prepare(scope, owner, "");
    const parts: MemberParts[] = [];
    for (const member of members) {
      const part = { plan: member, scope: scope.createChild(), where: `members[${member.id}].` };
      await prepare(part.scope, member, part.where);
      parts.push(part);
    }
    checkOwner(scope.container);
    for (const { scope, where } of parts) checkMember(scope.container, where);
    return compose(scope, plan, parts);
  } catch (error) {
    await scope
      .dispose()
      .catch((fault: DisposalError) => onFault?.(fault))
      // A callback that breaks its promise must not take the place of the first error.
      .catch(() => undefined);
    throw error;
  }
}

/** A member to be made. */
interface MemberParts {
  readonly plan: MemberPlan;
  readonly scope: Scope;
  readonly where: Where;
}

function compose(scope: Scope, plan: HostPlan, parts: readonly MemberParts[]): GroupHost {
  let asked = false;
  const members = new Map<number, HostMember>();
  for (const part of parts) {
    const member = composeMember(part);
    members.set(member.id, member);
    scope.container.register(MEMBER, {
      useFactory: () => {
        asked = true;
        return member;
      },
    });
  }
  const owner = resolveOwner(scope.container);
  scope.own(owner, ({ device }) => device.reset());
  if (members.size > 0 && !asked) {
    const { token, hint } = CONTRACT.group;
    const message = "there are members, and no group is made of them";
    throw refusal(token, "", message, `${hint} that is made of resolveMembers(container)`);
  }
  return new GroupHost(scope, owner, members, connectTo(scope, plan.owner, owner.device, ""));
}

function composeMember({ plan, scope, where }: MemberParts): HostMember {
  const { made: device, release } = makeMember(scope.container, where);
  scope.own(device, () => {
    device.reset();
    release();
  });
  // Connected first: a transport narrows what a device can offer.
  const driver = connectTo(scope, plan, device, where);
  const settable = plan.settable === undefined ? {} : { settable: plan.settable };
  return new HostMember(scope, device, new DeviceMember(plan.id, device, settable), driver);
}

function connectTo(
  scope: Scope,
  { transport }: DevicePlan,
  device: VirtioDevice,
  where: Where,
): DriverTransport | undefined {
  if (transport === undefined) return undefined;
  const plugin =
    typeof transport === "string"
      ? transportOf(scope.container, transport, where)
      : heldTo(CONTRACT.transport, transport(scope), where);
  const pair = connect(scope.container, device, plugin, where);
  return scope.own(pair, () => pair.close()).driver;
}

/** Registers what one device is made of, and looks for what is missing; nothing is made yet. */
async function prepare(
  scope: Scope,
  { register, transport }: DevicePlan,
  where: Where,
): Promise<void> {
  await register(scope);
  const [hiding] = scope.hiding();
  if (hiding !== undefined) {
    throw refusal(
      hiding,
      where,
      "what is registered here hides what is registered around it",
      `register all that stands under ${nameOf(hiding)} in one container`,
    );
  }
  if (typeof transport === "string") checkRegistered(scope.container, CONTRACT.transport, where);
  if (transport !== undefined) checkRegistered(scope.container, CONTRACT.dma, where);
}

function checkIds(members: readonly MemberPlan[]): void {
  const ids = new Set<number>();
  for (const { id } of members) {
    if (ids.has(id)) {
      throw new VirtioError("GROUP_INVALID", {
        path: "members",
        message: "two members of one group have the same id",
        value: id,
        hint: "give every member an id of its own",
      });
    }
    ids.add(id);
  }
}

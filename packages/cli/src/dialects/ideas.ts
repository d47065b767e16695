/**
 * The ideas of the proposal, and what each became: every form is written from the declarations of
 * a dialect and of the transports, the same way for all dialects.
 */
import {
  type AdminCommand,
  type AnyStructLayout,
  DIALECTS,
  type DialectDescription,
  type Field,
  type NamedValue,
  SR_IOV_GROUP,
  type TransportDescription,
} from "@virtio-admin/core";

/** One idea, and its form in a dialect. */
export interface Idea {
  /** The idea, in a few words. */
  readonly idea: string;
  /** Its form. */
  form(dialect: DialectDescription, transports: readonly TransportDescription[]): string;
}

const RATIFIED = DIALECTS["virtio-1.4"];
/** What the management commands are in the ratified format. */
const NOT_RATIFIED = "never ratified, private here";

/** The ideas in the order in which the proposal's parts came. */
export const IDEAS: readonly Idea[] = [
  {
    idea: "the owner and its group",
    form: ({ command, ownerMemberId }) =>
      ownerMemberId === undefined
        ? `the owner is no member of its group (type ${SR_IOV_GROUP.id}, ${SR_IOV_GROUP.name})`
        : `the owner is a member of its group (type ${SR_IOV_GROUP.id}, ${SR_IOV_GROUP.name}), ${memberFieldOf(command).name} ${ownerMemberId}`,
  },
  {
    idea: "a command",
    form: ({ command }) => `${command.name}: ${fieldsOf(command)}`,
  },
  {
    idea: "another device as destination",
    form: ({ command, destinations }) =>
      `${destinationFieldOf(command).name} ${valuesOf(destinations)}; ${memberFieldOf(command).name}`,
  },
  {
    idea: "agreeing on commands",
    form: ({ listQuery, listUse, oneList }) =>
      `${numbered(listQuery)}, ${numbered(listUse)}: ${
        oneList
          ? "one list for the device, the two always legal"
          : "a list for each group type, which may leave the two out; limits by capabilities"
      }`,
  },
  {
    idea: "the order of the checks",
    form: ({ commandFirst, command }) => {
      const [number, destination] = Object.values(command.fields);
      const first = commandFirst ? [number, destination] : [destination, number];
      return [...first, memberFieldOf(command)].map((field) => field?.name).join(", ");
    },
  },
  {
    idea: "an answer",
    form: ({ answer }) => `${answer.name}: ${fieldsOf(answer)}`,
  },
  {
    idea: "status values",
    form: ({ statuses }) => valuesOf(statuses),
  },
  {
    idea: "administration virtqueues",
    form: ({ mostQueues }) => (mostQueues === 1 ? "one" : `up to ${mostQueues}`),
  },
  placeOn("pci"),
  placeOn("mmio"),
  placeOn("ccw"),
  {
    idea: "how a driver knows the dialect",
    form: ({ name }, transports) => {
      if (name === RATIFIED.name) return "it is spoken where no other one is found or told";
      return transports
        .flatMap((transport) =>
          (transport.dialects ?? [])
            .filter((each) => each.name === name)
            .map(({ detection }) => `${transport.name}: ${detection}`),
        )
        .join("; ");
    },
  },
  managementIdea("what an owner can manage", "MGMT_"),
  managementIdea("MSI-X vectors of a member", "MSIX_"),
  managementIdea("feature bits of a member (RFC)", "FEATURES_"),
];

/** Commands of the management family whose names begin like this. */
function managementIdea(idea: string, prefix: string): Idea {
  return {
    idea,
    form: ({ management, reconstruction }) => {
      const commands = management.filter(({ name }) => name.startsWith(prefix)).map(numbered);
      return `${commands.join(", ")}${reconstruction ? "" : ` (${NOT_RATIFIED})`}`;
    },
  };
}

/** Where a transport has the place of the queues. */
function placeOn(name: string): Idea {
  return {
    idea: `admin_queue_index on ${name}`,
    form: (dialect, transports) => {
      const transport = transports.find((each) => each.name === name);
      if (transport === undefined) return "–";
      if (dialect.name === RATIFIED.name) {
        const { adminQueueLocation, adminQueueForm, adminQueueStatus } = transport;
        return `${adminQueueLocation}: ${adminQueueForm} (${adminQueueStatus})`;
      }
      const place = transport.dialects?.find((each) => each.name === dialect.name);
      return place === undefined ? "none" : `${place.location}: ${place.form}`;
    },
  };
}

/** A command's name with its number. */
export function numbered({ name, opcode }: AdminCommand): string {
  return `${name} ${opcodeText(opcode)}`;
}

/** A number of a command as the tables have it. */
export function opcodeText(opcode: number): string {
  return `0x${opcode.toString(16).padStart(4, "0")}`;
}

/** The type of a field, with its length where it is an array. */
export function typeOf({ type, count }: Field): string {
  if (count === undefined) return type;
  return count === "rest" ? `${type}[]` : `${type}[${count}]`;
}

function fieldsOf(layout: AnyStructLayout): string {
  return Object.values(layout.fields)
    .map((field) => `${field.name} ${typeOf(field)} at ${field.offset}`)
    .join(", ");
}

/** The field behind the number of the command. */
function destinationFieldOf({ fields }: AnyStructLayout): Field {
  return namedField(Object.values(fields)[1]);
}

/** The field that holds a member id: the only one of 64 bits. */
function memberFieldOf({ fields }: AnyStructLayout): Field {
  return namedField(Object.values(fields).find(({ type, count }) => type === "le64" && !count));
}

function namedField(field: Field | undefined): Field {
  if (field === undefined) throw new Error("a command has a destination and a member id");
  return field;
}

function valuesOf(values: readonly NamedValue[]): string {
  return values.map(({ value, name }) => `${value} ${name}`).join(", ");
}

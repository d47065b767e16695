/** All cases of the kit. */
import type { ComplianceCase } from "../types.ts";
import { ADMIN_CAPABILITY_CASES } from "./admin-capabilities.ts";
import { ADMIN_COMMAND_CASES } from "./admin-commands.ts";
import { ADMIN_LIFE_CASES } from "./admin-life.ts";
import { ADMIN_LIST_CASES } from "./admin-lists.ts";
import { ADMIN_OBJECT_CASES } from "./admin-objects.ts";
import { ADMIN_PARTS_CASES } from "./admin-parts.ts";
import { ADMIN_PLACE_CASES } from "./admin-place.ts";
import { BRING_UP_CASES } from "./bring-up.ts";
import { CONFIGURATION_CASES } from "./configuration.ts";
import { DRIVER_ADMIN_COMMAND_CASES } from "./driver-admin-commands.ts";
import { DRIVER_ADMIN_OBJECT_CASES } from "./driver-admin-objects.ts";
import { DRIVER_ADMIN_PARTS_CASES } from "./driver-admin-parts.ts";
import { DRIVER_ADMIN_PLACE_CASES } from "./driver-admin-place.ts";
import { DRIVER_IN_ORDER_CASES } from "./driver-in-order.ts";
import { DRIVER_PACKED_QUEUE_CASES } from "./driver-packed-queues.ts";
import { DRIVER_PROPOSAL_V5_CASES } from "./driver-proposal-v5.ts";
import { DRIVER_QUEUE_CASES } from "./driver-queues.ts";
import { FEATURE_CASES } from "./features.ts";
import { IN_ORDER_CASES } from "./in-order.ts";
import { LEGACY_ACCESS_CASES } from "./legacy-access.ts";
import { PACKED_RING_CASES } from "./packed-rings.ts";
import { PROPOSAL_V5_CASES } from "./proposal-v5.ts";
import { QUEUE_CASES } from "./queues.ts";
import { RESET_CASES } from "./reset.ts";
import { RING_CASES } from "./rings.ts";
import { STATUS_CASES } from "./status.ts";

/** Every case, those of the device half first. */
export const COMPLIANCE_CASES: readonly ComplianceCase[] = [
  ...STATUS_CASES,
  ...RESET_CASES,
  ...FEATURE_CASES,
  ...CONFIGURATION_CASES,
  ...QUEUE_CASES,
  ...RING_CASES,
  ...PACKED_RING_CASES,
  ...IN_ORDER_CASES,
  ...ADMIN_PLACE_CASES,
  ...ADMIN_LIST_CASES,
  ...ADMIN_COMMAND_CASES,
  ...ADMIN_LIFE_CASES,
  ...ADMIN_CAPABILITY_CASES,
  ...ADMIN_OBJECT_CASES,
  ...ADMIN_PARTS_CASES,
  ...PROPOSAL_V5_CASES,
  ...BRING_UP_CASES,
  ...DRIVER_QUEUE_CASES,
  ...DRIVER_PACKED_QUEUE_CASES,
  ...DRIVER_IN_ORDER_CASES,
  ...DRIVER_ADMIN_PLACE_CASES,
  ...DRIVER_ADMIN_COMMAND_CASES,
  ...DRIVER_ADMIN_OBJECT_CASES,
  ...DRIVER_ADMIN_PARTS_CASES,
  ...LEGACY_ACCESS_CASES,
  ...DRIVER_PROPOSAL_V5_CASES,
];

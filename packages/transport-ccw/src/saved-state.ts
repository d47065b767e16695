/** What the device half adds to a snapshot of its device; `schema/port.schema.json` describes it. */
import {
  type CommandLayout,
  layoutFingerprint,
  refuseState,
  type StateReader,
  savedAddress,
  savedBoolean,
  savedBytes,
  savedInteger,
  savedObject,
  savedSame,
} from "@virtio-admin/core";
import { SENSE_LENGTH } from "./channel-layout.ts";
import { HIGHEST_SUBCLASS, type IndicatorPlaces } from "./indicators.ts";
import { LOWEST_REVISION } from "./layout.ts";

/** Where adapter indicators lie; addresses and `firstBit` are hexadecimal numbers. */
export interface SavedAdapterIndicators {
  /** Guest address of the summary byte. */
  readonly summary: string;
  /** Guest address of the area of queue indicators. */
  readonly area: string;
  /** The bit of queue 0 in the area. */
  readonly firstBit: string;
  /** The interruption subclass, 0..7. */
  readonly subclass: number;
}

/** Where the driver wants its indicators; addresses are hexadecimal numbers. */
export interface SavedIndicators {
  /** Guest address of the classic queue indicators; absent without. */
  readonly classic?: string;
  /** Guest address of the configuration indicators; absent without. */
  readonly configuration?: string;
  /** The adapter indicators; absent without. */
  readonly adapter?: SavedAdapterIndicators;
}

/** What a subchannel and the device behind it keep between channel programs. */
export interface SavedCcw {
  /** The fingerprint of the channel commands: a driver has them built in. */
  readonly layout: string;
  /** The subchannel identification word, by which a driver notifies. */
  readonly subchannelId: number;
  /** True while the subchannel is enabled. */
  readonly enabled: boolean;
  /** The selected revision; absent while none is. */
  readonly revision?: number;
  /** The sense data of the last unit check, two digits a byte. */
  readonly sense: string;
  /** True when an unsolicited interrupt was raised and the machine has not accepted it. */
  readonly interruptPending: boolean;
  /** Where the indicators are. */
  readonly indicators: SavedIndicators;
}

/** Reads what a device half that is built like this can take; indicators are its own to check. */
export function savedCcw(built: {
  readonly layout: CommandLayout;
  readonly subchannelId: number;
  readonly maxRevision: number;
}): StateReader<SavedCcw> {
  const read = savedObject<SavedCcw>(
    {
      layout: savedSame(layoutFingerprint(built.layout), "the layout of the commands"),
      subchannelId: savedSame(built.subchannelId, "the subchannel"),
      enabled: savedBoolean,
      revision: savedInteger(LOWEST_REVISION, built.maxRevision),
      sense: savedBytes(SENSE_LENGTH),
      interruptPending: savedBoolean,
      indicators,
    },
    ["revision"],
  );
  return (value, path) => {
    const saved = read(value, path);
    if (saved.enabled) return saved;
    // Disabling the subchannel ends both.
    if (saved.revision !== undefined) throw disabled(`${path}.revision`, saved.revision);
    if (saved.interruptPending) throw disabled(`${path}.interruptPending`, true);
    return saved;
  };
}

const indicators = savedObject<SavedIndicators>(
  {
    classic: savedAddress,
    configuration: savedAddress,
    adapter: savedObject<SavedAdapterIndicators>({
      summary: savedAddress,
      area: savedAddress,
      firstBit: savedAddress,
      subclass: savedInteger(0, HIGHEST_SUBCLASS),
    }),
  },
  ["classic", "configuration", "adapter"],
);

/** As indicators are saved. */
export function saveIndicators({
  classic,
  configuration,
  adapter,
}: IndicatorPlaces): SavedIndicators {
  return {
    ...(classic === 0 ? {} : { classic: toHex(classic) }),
    ...(configuration === 0 ? {} : { configuration: toHex(configuration) }),
    ...(adapter === undefined
      ? {}
      : {
          adapter: {
            summary: toHex(adapter.summary),
            area: toHex(adapter.area),
            firstBit: toHex(adapter.firstBit),
            subclass: adapter.subclass,
          },
        }),
  };
}

/** The places that were saved; an address above 2^53 comes out inexact, and inside no memory. */
export function placesOf({ classic, configuration, adapter }: SavedIndicators): IndicatorPlaces {
  return {
    classic: Number(classic ?? 0),
    configuration: Number(configuration ?? 0),
    adapter: adapter && {
      summary: Number(adapter.summary),
      area: Number(adapter.area),
      firstBit: Number(adapter.firstBit),
      subclass: adapter.subclass,
    },
  };
}

function toHex(value: number): string {
  return `0x${value.toString(16)}`;
}

function disabled(path: string, value: number | boolean): Error {
  return refuseState(path, "there is none while the subchannel is disabled", { value });
}

/** The register maps of the transports, side by side. */
import { useEffect } from "preact/hooks";
import { setValues, valueAt } from "../shell/address.ts";
import { FileDrop } from "../shell/file-drop.tsx";
import { isTransportName, TRANSPORT_NAMES, TRANSPORTS, type TransportName } from "../transports.ts";
import {
  choose,
  chosen,
  columns,
  hovered,
  own,
  ownName,
  refuseOwn,
  takeOwn,
  takeOwnOfAddress,
} from "./choice.ts";
import { ColumnView } from "./column-view.tsx";
import { LAYOUT_FILE_LIMIT } from "./own-layout.ts";
import { hex, type MapField, type Strip } from "./strips.ts";

/** Where a reader begins: what this project adds, and the text has. */
const ADMIN_KEYS: Readonly<Record<TransportName, string>> = {
  pci: "admin_queue_index",
  mmio: "AdminQueueIndex",
  ccw: "READ_ADMIN_VQ",
};

/** The panel. */
export function Panel() {
  useEffect(() => {
    void takeOwnOfAddress();
  }, [valueAt("own")]);
  const on = valueAt("on");
  const shown = isTransportName(on) ? on : "pci";
  return (
    <FileDrop
      class="maps"
      label="Open a layout"
      accept=".json,application/json"
      limit={LAYOUT_FILE_LIMIT}
      onFile={(file) =>
        "text" in file ? void takeOwn(file.name, file.text) : refuseOwn(file.name, file.refusal)
      }
    >
      <div class="toolbar">
        <fieldset class="segments narrow">
          <legend class="unseen">Transport</legend>
          {TRANSPORT_NAMES.map((name) => (
            <label key={name}>
              <input
                type="radio"
                name="on"
                checked={name === shown}
                onChange={() => setValues({ on: name })}
              />
              {name.toUpperCase()}
            </label>
          ))}
        </fieldset>
        <button type="button" onClick={goToAdmin}>
          Show admin_queue_index
        </button>
        <p class="legend" aria-hidden="true">
          <span>
            <i class="key admin" /> administration virtqueue
          </span>
          <span>
            <i class="key same" /> the same on another transport
          </span>
          <span>
            <i class="key gap" /> nobody’s bytes
          </span>
        </p>
      </div>
      <OwnFindings />
      <div class="columns" data-shown={shown}>
        {columns.value.map((column) => (
          <ColumnView key={column.transport} column={column} />
        ))}
        <Inspector />
      </div>
    </FileDrop>
  );
}

function goToAdmin(): void {
  const on = valueAt("on");
  const transport = isTransportName(on) ? on : "pci";
  choose({ transport, key: ADMIN_KEYS[transport] });
}

function OwnFindings() {
  const { value } = own;
  if (value === undefined || (value.layout !== undefined && value.findings.length === 0))
    return null;
  const isRefused = value.layout === undefined;
  return (
    <div class={isRefused ? "refusal" : "warning"} role="alert">
      <p>
        {ownName.value ?? "The layout of the address"}{" "}
        {isRefused
          ? "is no layout that can be used:"
          : "can be used, with something to think about:"}
      </p>
      <ul>
        {value.findings.slice(0, 10).map(({ severity, path, message, hint }) => (
          <li key={`${severity}${path}`}>
            <code>{path}</code>: {message}
            {hint === undefined ? "" : `; ${hint}`}
          </li>
        ))}
      </ul>
      {value.findings.length > 10 && <p>And {value.findings.length - 10} more.</p>}
    </div>
  );
}

function Inspector() {
  const place = hovered.value ?? chosen.value;
  const column = columns.value.find(({ transport }) => transport === place?.transport);
  const strip = column?.strips.find(
    ({ key, fields }) => key === place?.key || fields.some((field) => field.key === place?.key),
  );
  const field = strip?.fields.find(({ key }) => key === place?.key);
  return (
    <aside class="inspector" aria-label="What is looked at" aria-live="polite">
      {place === undefined || strip === undefined ? (
        <p class="quiet">
          Point at a field, or walk with the arrow keys: up and down within a transport, left and
          right to the same thing on the next.
        </p>
      ) : field === undefined ? (
        <CommandFacts strip={strip} transport={place.transport} />
      ) : (
        <FieldFacts field={field} strip={strip} transport={place.transport} />
      )}
    </aside>
  );
}

interface FactsProps {
  readonly strip: Strip;
  readonly transport: TransportName;
}

function CommandFacts({ strip, transport }: FactsProps) {
  const { name, head, gate, doc, cite, size, admin } = strip;
  return (
    <>
      <h2>{name}</h2>
      <p>{doc}</p>
      <Facts
        facts={{
          command: head,
          data: size === 0 ? "none, or of any length" : `${size} bytes`,
          gate,
          section: cite,
          status: admin ? statusOf(transport, cite) : undefined,
        }}
      />
    </>
  );
}

function FieldFacts({ field, strip, transport }: FactsProps & { readonly field: MapField }) {
  const { name, offset, length, type, access, gate, reset, doc, cite, bits, admin } = field;
  return (
    <>
      <h2>{name}</h2>
      <p>{doc}</p>
      <Facts
        facts={{
          in: strip.name,
          offset: `${hex(offset, 3)} (${offset})`,
          type: length === 0 ? `${type}, to the end` : `${type}, ${length} bytes`,
          access: access === undefined ? undefined : ACCESS[access],
          gate: gate ?? strip.gate,
          "after a reset": reset ?? "0",
          section: cite,
          status: admin ? statusOf(transport, cite) : undefined,
        }}
      />
      {bits.length > 0 && (
        <>
          <h3>Bits</h3>
          <dl>
            {bits.map((bit) => (
              <div key={bit.name}>
                <dt>
                  {bit.width === 1 ? bit.at : `${bit.at}–${bit.at + (bit.width ?? 1) - 1}`}{" "}
                  {bit.name}
                </dt>
                <dd>{bit.doc}</dd>
              </div>
            ))}
          </dl>
        </>
      )}
    </>
  );
}

const ACCESS: Readonly<Record<string, string>> = {
  R: "the driver reads",
  W: "the driver writes",
  RW: "the driver reads and writes",
};

/** Whether the place of the administration virtqueues is in a text, or this project's. */
function statusOf(transport: TransportName, cite: string): string {
  if (cite.startsWith("this project")) return "reference layout of this project, in no text";
  return TRANSPORTS[transport].description.adminQueueStatus;
}

function Facts({ facts }: { readonly facts: Readonly<Record<string, string | undefined>> }) {
  return (
    <dl>
      {Object.entries(facts).map(([name, value]) =>
        value === undefined ? null : (
          <div key={name}>
            <dt>{name}</dt>
            <dd>{value}</dd>
          </div>
        ),
      )}
    </dl>
  );
}

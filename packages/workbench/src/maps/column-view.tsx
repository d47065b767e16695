/** One transport: what is shown, what it is compared with, and the map. */
import { useEffect, useRef } from "preact/hooks";
import { setValues } from "../shell/address.ts";
import { TRANSPORT_NAMES, TRANSPORTS, type TransportName } from "../transports.ts";
import {
  type Column,
  choose,
  chosen,
  columns,
  comparedName,
  hasOwn,
  hovered,
  layoutsOf,
  OWN,
  shownName,
} from "./choice.ts";
import { counterpartsOf } from "./counterparts.ts";
import { differenceWords } from "./differences.ts";
import { type Marks, StripView } from "./strip-view.tsx";

/** A column. */
export function ColumnView({ column }: { readonly column: Column }) {
  const { transport, layout, strips, compared, differences, keys } = column;
  const { description } = TRANSPORTS[transport];
  const scroller = useRef<HTMLDivElement>(null);
  const looked = hovered.value ?? chosen.value;
  const same =
    looked === undefined
      ? new Set<string>()
      : counterpartsOf(looked.transport, looked.key)[transport];
  const mine = chosen.value?.transport === transport ? chosen.value.key : undefined;
  const marks: Marks = {
    current: looked?.transport === transport ? looked.key : undefined,
    same,
    differs: new Map(differences.map(({ key, what }) => [key, what])),
    stop: mine ?? keys[0],
  };
  // What is chosen here or elsewhere comes into view; what the mouse is over does not move the page.
  const wanted =
    mine ??
    (chosen.value === undefined
      ? undefined
      : keys.find((key) =>
          counterpartsOf(chosen.value?.transport ?? "pci", chosen.value?.key ?? "")[transport].has(
            key,
          ),
        ));
  useEffect(() => bringIntoView(scroller.current, wanted), [wanted, layout]);
  return (
    <section class="column" aria-labelledby={`title-${transport}`} data-transport={transport}>
      <header>
        <h2 id={`title-${transport}`}>
          {transport.toUpperCase()} <small>{description.title}</small>
        </h2>
        <LayoutChoice transport={transport} />
        <p class="about">{layout.doc}</p>
      </header>
      {/* biome-ignore lint/a11y/noStaticElementInteractions: the buttons within are what is used */}
      <div
        class="map"
        ref={scroller}
        onKeyDown={(event) => move(event, column)}
        onClick={(event) => withKey(event, (key) => choose({ transport, key }))}
        onFocusIn={(event) => withKey(event, (key) => choose({ transport, key }))}
        onPointerOver={(event) => {
          const key = keyOf(event);
          hovered.value = key === undefined ? undefined : { transport, key };
        }}
        onPointerLeave={() => {
          hovered.value = undefined;
        }}
      >
        {strips.map((strip) => (
          <StripView key={strip.key} strip={strip} marks={marks} />
        ))}
      </div>
      {compared !== undefined && (
        <section
          class="differences"
          aria-label={`Differences on ${transport.toUpperCase()}`}
          // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls is reached by the keyboard
          tabIndex={0}
        >
          <h3>
            {differences.length === 0 ? "No difference" : `${differences.length} differences`} from{" "}
            {nameOf(compared.name, comparedName(transport))}
          </h3>
          <ul>
            {differences.map((difference) => (
              <li key={difference.path} data-class={difference.class}>
                <b>{difference.class}</b> <code>{differenceWords(compared, difference)}</code>
                <span class="quiet"> {difference.reason}</span>
              </li>
            ))}
          </ul>
        </section>
      )}
    </section>
  );
}

function nameOf(name: string, chosenName: string): string {
  return chosenName === OWN ? `${name} (your file)` : name;
}

function LayoutChoice({ transport }: { readonly transport: TransportName }) {
  const names = layoutsOf(transport).map(({ name }) => name);
  const options = hasOwn(transport) ? [...names, OWN] : names;
  const shown = shownName(transport);
  return (
    <div class="choices">
      <label>
        <span>Layout</span>
        <select
          name={transport}
          value={shown}
          onChange={({ currentTarget }) => setValues({ [transport]: currentTarget.value })}
        >
          {options.map((name) => (
            <option key={name} value={name}>
              {name === OWN ? "your file" : name}
            </option>
          ))}
        </select>
      </label>
      <label>
        <span>Compared with</span>
        <select
          name={`${transport}Vs`}
          value={comparedName(transport)}
          onChange={({ currentTarget }) =>
            setValues({ [`${transport}Vs`]: currentTarget.value || undefined })
          }
        >
          <option value="">nothing</option>
          {options
            .filter((name) => name !== shown)
            .map((name) => (
              <option key={name} value={name}>
                {name === OWN ? "your file" : name}
              </option>
            ))}
        </select>
      </label>
    </div>
  );
}

function keyOf(event: Event): string | undefined {
  const target = event.target instanceof Element ? event.target : undefined;
  const element = target?.closest<HTMLElement>("[data-key], [data-of]");
  return element?.dataset["key"] ?? element?.dataset["of"];
}

function withKey(event: Event, use: (key: string) => void): void {
  const key = keyOf(event);
  if (key !== undefined) use(key);
}

/** Up and down within a column; left and right to the same thing on the next transport. */
function move(event: KeyboardEvent, { transport, keys }: Column): void {
  const from = keyOf(event);
  if (from === undefined) return;
  const at = keys.indexOf(from);
  const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
  const aside = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
  if (step !== undefined) focusOn(transport, keys[at + step]);
  else if (event.key === "Home") focusOn(transport, keys[0]);
  else if (event.key === "End") focusOn(transport, keys.at(-1));
  else if (aside !== undefined) {
    const other = TRANSPORT_NAMES[TRANSPORT_NAMES.indexOf(transport) + aside];
    if (other === undefined) return;
    const there = columns.value.find((each) => each.transport === other)?.keys ?? [];
    const [same] = counterpartsOf(transport, from)[other];
    focusOn(other, same !== undefined && there.includes(same) ? same : there[0]);
  } else return;
  event.preventDefault();
}

function focusOn(transport: TransportName, key: string | undefined): void {
  if (key === undefined) return;
  buttonOf(document.querySelector(`[data-transport="${transport}"]`), key)?.focus();
}

function buttonOf(within: Element | null, key: string): HTMLElement | null {
  return within?.querySelector<HTMLElement>(`[data-key="${CSS.escape(key)}"]`) ?? null;
}

const MARGIN = 48;

function bringIntoView(scroller: HTMLElement | null, key: string | undefined): void {
  if (scroller === null || key === undefined) return;
  const button = buttonOf(scroller, key);
  if (button === null || scroller.scrollHeight <= scroller.clientHeight) return;
  const frame = scroller.getBoundingClientRect();
  const place = button.getBoundingClientRect();
  if (place.top < frame.top + MARGIN || place.bottom > frame.bottom - MARGIN) {
    const middle = place.top - frame.top - (frame.height - place.height) / 2;
    scroller.scrollTo({ top: scroller.scrollTop + middle });
  }
}

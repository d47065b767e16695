/** Bytes in the colours of their fields, and what the fields say. */
import { useState } from "preact/hooks";
import type { Block } from "./spans.ts";

const COLOURS = 8;
/** The bytes of a line in a table cell. */
const SHOWN = 8;

/** One block. */
export function BytesView({ block }: { readonly block: Block }) {
  const { title, address, bytes, more, spans } = block;
  const [looked, setLooked] = useState<number | undefined>(undefined);
  const owner = new Int16Array(bytes.length).fill(-1);
  for (const [i, { from, to }] of spans.entries()) owner.fill(i, from, Math.min(to, bytes.length));
  return (
    <section class="bytes">
      <h3>
        {title}
        {address !== undefined && <small> at 0x{address.toString(16)}</small>}
      </h3>
      <div
        class="dump"
        aria-hidden="true"
        // One listener for all bytes: there are a thousand, and they are drawn anew while one scrubs.
        onPointerOver={({ target }) => {
          const of = target instanceof HTMLElement ? target.dataset["of"] : undefined;
          setLooked(of === undefined ? undefined : Number(of));
        }}
        onPointerLeave={() => setLooked(undefined)}
      >
        {Array.from(bytes, (byte, i) => {
          const of = owner[i] ?? -1;
          return (
            <span
              key={i}
              data-hue={of < 0 ? undefined : of % COLOURS}
              data-of={of < 0 ? undefined : of}
              data-looked={of >= 0 && of === looked}
            >
              {byte.toString(16).padStart(2, "0")}
            </span>
          );
        })}
        {more > 0 && <em>and {more} more</em>}
      </div>
      {spans.length > 0 && (
        <table>
          <thead>
            <tr>
              <th scope="col">Field</th>
              <th scope="col">Bytes</th>
              <th scope="col">Value</th>
            </tr>
          </thead>
          <tbody>
            {spans.map(({ from, to, name, value, doc }, i) => (
              <tr
                key={`${name}${from}`}
                data-looked={i === looked}
                onPointerEnter={() => setLooked(i)}
                onPointerLeave={() => setLooked(undefined)}
              >
                <th scope="row" title={doc}>
                  <span class="dot" data-hue={i % COLOURS} aria-hidden="true" /> <code>{name}</code>
                </th>
                <td>
                  <span class="range">{to - from === 1 ? from : `${from}–${to - 1}`}</span>{" "}
                  <code class="raw">{hexOf(bytes.subarray(from, to))}</code>
                </td>
                <td>{value}</td>
              </tr>
            ))}
          </tbody>
        </table>
      )}
    </section>
  );
}

function hexOf(bytes: Uint8Array): string {
  const shown = Array.from(bytes.subarray(0, SHOWN), (byte) => byte.toString(16).padStart(2, "0"));
  return bytes.length > SHOWN ? `${shown.join(" ")} …` : shown.join(" ");
}

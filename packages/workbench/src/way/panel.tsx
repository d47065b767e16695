/** The way of a command through driver, ring, transport, device and executor, and back. */
import { useEffect } from "preact/hooks";
import { address, setValues } from "../shell/address.ts";
import { FileDrop } from "../shell/file-drop.tsx";
import { TRANSPORT_NAMES } from "../transports.ts";
import { BytesView } from "./bytes-view.tsx";
import {
  film,
  goTo,
  goToCommand,
  index,
  moment,
  OWN_TRACE,
  play,
  playing,
  refusal,
  SPEEDS,
  sendAgain,
  settle,
  showAddress,
  sourceOfAddress,
  speed,
  stop,
  takeTrace,
} from "./film.ts";
import { LIVE_COMMANDS } from "./live.ts";
import { MomentList } from "./moment-list.tsx";
import { STATIONS, type Station } from "./moments.ts";
import { RECORDINGS } from "./recordings.ts";
import { TRACE_FILE_LIMITS } from "./trace-file.ts";

/** What is at a station on the way down, and on the way up. */
const PLACES: Readonly<Record<Station, string>> = {
  driver: "its memory",
  ring: "available, used",
  transport: "notify, interrupt",
  device: "the queue",
  executor: "the command",
};

/** The panel. */
export function Panel() {
  const { values } = address.value;
  useEffect(() => {
    void showAddress();
  }, [values]);
  useEffect(() => stop, []);
  return (
    <FileDrop
      class="way"
      label="Open a trace"
      accept=".jsonl,.json,.txt"
      limit={TRACE_FILE_LIMITS.length}
      onFile={takeTrace}
    >
      <SourceChoice />
      {refusal.value !== undefined && (
        <p class="refusal" role="alert">
          {refusal.value}
        </p>
      )}
      <Stations />
      <Controls />
      <div class="looking">
        <Now />
        {film.value !== undefined && <MomentList film={film.value} index={index.value} />}
      </div>
    </FileDrop>
  );
}

function SourceChoice() {
  const source = sourceOfAddress();
  const isLive = source.kind === "live";
  const live = isLive ? source : { transport: "mmio", command: LIVE_COMMANDS[0]?.name };
  const chooseLive = (changes: Readonly<Record<string, string>>) =>
    setValues({
      trace: undefined,
      at: undefined,
      transport: live.transport,
      command: live.command,
      ...changes,
    });
  return (
    <div class="toolbar">
      <fieldset class="segments">
        <legend>Send on</legend>
        {TRANSPORT_NAMES.map((name) => (
          <label key={name}>
            <input
              type="radio"
              name="transport"
              checked={isLive && name === source.transport}
              onChange={() => chooseLive({ transport: name })}
            />
            {name.toUpperCase()}
          </label>
        ))}
      </fieldset>
      <label>
        <span>Command</span>
        <select
          name="command"
          value={isLive ? source.command : ""}
          onChange={({ currentTarget }) => chooseLive({ command: currentTarget.value })}
        >
          {!isLive && <option value="">–</option>}
          {LIVE_COMMANDS.map(({ name, doc }) => (
            <option key={name} value={name} title={doc}>
              {name}
            </option>
          ))}
        </select>
      </label>
      <button type="button" disabled={!isLive} onClick={() => void sendAgain()}>
        Send again
      </button>
      <label>
        <span>or a recording</span>
        <select
          name="trace"
          value={isLive ? "" : source.name}
          onChange={({ currentTarget }) => {
            if (currentTarget.value === "") chooseLive({});
            else
              setValues({
                trace: currentTarget.value,
                at: undefined,
                transport: undefined,
                command: undefined,
              });
          }}
        >
          <option value="">–</option>
          {RECORDINGS.map(({ name, title }) => (
            <option key={name} value={name}>
              {title}
            </option>
          ))}
          {!isLive && source.name === OWN_TRACE && <option value={OWN_TRACE}>your file</option>}
        </select>
      </label>
    </div>
  );
}

function Stations() {
  const now = moment.value;
  return (
    <ol class="stations" aria-label="The way of a command">
      {STATIONS.map((station) => {
        const isHere = now?.station === station;
        return (
          <li
            key={station}
            data-here={isHere}
            data-direction={isHere ? now.direction : undefined}
            aria-current={isHere ? "step" : undefined}
          >
            <b>{station}</b>
            <span>{PLACES[station]}</span>
            {isHere && (
              <i aria-hidden="true" class="arrow">
                {now.direction === "down" ? "→" : "←"}
              </i>
            )}
            {isHere && <span class="unseen">on the way {now.direction}</span>}
          </li>
        );
      })}
    </ol>
  );
}

function Controls() {
  const length = film.value?.length ?? 0;
  const at = index.value;
  const step = (to: number) => {
    stop();
    goTo(to);
    settle();
  };
  return (
    <fieldset class="controls" disabled={length === 0}>
      <legend class="unseen">Where in {film.value?.title ?? "it"}</legend>
      <div class="buttons">
        <button type="button" disabled={at === 0} onClick={() => step(0)}>
          First
        </button>
        <button type="button" disabled={at === 0} onClick={() => step(at - 1)}>
          Back
        </button>
        <button
          type="button"
          class="play"
          onClick={() => {
            if (playing.value) stop();
            else play();
          }}
        >
          {playing.value ? "Pause" : "Play"}
        </button>
        <button type="button" disabled={at >= length - 1} onClick={() => step(at + 1)}>
          Step
        </button>
        <button type="button" disabled={at >= length - 1} onClick={() => step(length - 1)}>
          Last
        </button>
        <label>
          <span class="unseen">Speed</span>
          <select
            name="speed"
            value={speed.value}
            onChange={({ currentTarget }) => {
              const wasPlaying = playing.value;
              stop();
              speed.value = Number(currentTarget.value);
              if (wasPlaying) play();
            }}
          >
            {SPEEDS.map((each) => (
              <option key={each} value={each}>
                {each} a second
              </option>
            ))}
          </select>
        </label>
        <button type="button" onClick={() => goToCommand(-1)}>
          Previous command
        </button>
        <button type="button" onClick={() => goToCommand(1)}>
          Next command
        </button>
      </div>
      <label class="scrub">
        <span class="unseen">Moment</span>
        <input
          type="range"
          name="at"
          min={0}
          max={Math.max(0, length - 1)}
          value={at}
          aria-valuetext={`${at + 1} of ${length}: ${film.value?.glimpse(at)?.title ?? ""}`}
          onInput={({ currentTarget }) => {
            stop();
            goTo(Number(currentTarget.value));
          }}
          onChange={settle}
        />
        <output>
          {length === 0 ? 0 : at + 1} / {length}
        </output>
      </label>
    </fieldset>
  );
}

function Now() {
  const now = moment.value;
  if (now === undefined) {
    return refusal.value === undefined ? <p class="loading">Loading…</p> : null;
  }
  return (
    <article class="now" aria-label="The moment" aria-live={playing.value ? "off" : "polite"}>
      <h2>
        <span class="arrow" aria-hidden="true">
          {now.direction === "down" ? "↓" : "↑"}
        </span>{" "}
        {now.title}
      </h2>
      <p class="text">{now.text}</p>
      {now.facts !== undefined && (
        <dl>
          {now.facts.map(([name, value]) => (
            <div key={name}>
              <dt>{name}</dt>
              <dd>{value}</dd>
            </div>
          ))}
        </dl>
      )}
      {now.blocks.map((block, i) => (
        <BytesView key={i} block={block} />
      ))}
    </article>
  );
}

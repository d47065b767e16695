/** A device group that runs in this page. */
import { DIALECTS, statusNames } from "@virtio-admin/core";
import { useEffect, useState } from "preact/hooks";
import { address } from "../shell/address.ts";
import { TRANSPORT_NAMES } from "../transports.ts";
import { answerWords, featureWords, shortFeature } from "../way/spans.ts";
import { MOST_ACTIONS, parseActions } from "./actions.ts";
import type { MemberView, OwnerView } from "./bench.ts";
import { MOST_MEMBERS } from "./seats.ts";
import {
  act,
  busy,
  type GroupView,
  last,
  log,
  openGroup,
  startOver,
  transportOfAddress,
  view,
} from "./session.ts";

/** The panel. */
export function Panel() {
  const { values } = address.value;
  useEffect(() => {
    void openGroup();
  }, [values]);
  const seen = view.value;
  const transport = transportOfAddress();
  return (
    <div class="group" aria-busy={busy.value}>
      <div class="toolbar">
        <fieldset class="segments">
          <legend>Transport</legend>
          {TRANSPORT_NAMES.map((name) => (
            <label key={name}>
              <input
                type="radio"
                name="transport"
                checked={name === transport}
                onChange={() => void startOver(name)}
              />
              {name.toUpperCase()}
            </label>
          ))}
        </fieldset>
        <button type="button" onClick={() => void startOver(transport)}>
          Start over
        </button>
        <Told />
      </div>
      {seen === undefined ? (
        <p class="loading">Bringing the owner up…</p>
      ) : (
        <div class="devices">
          <Owner view={seen} />
          <Members view={seen} />
          <Log />
        </div>
      )}
    </div>
  );
}

function Told() {
  const told = last.value;
  const isFull = parseActions(address.value.values.get("do") ?? "").length >= MOST_ACTIONS;
  return (
    <p class="told" role="status" data-outcome={told?.outcome}>
      {told === undefined ? (
        <span class="quiet">
          Real devices and drivers, in this page. What you do is in the address.
        </span>
      ) : (
        <>
          {told.words}: <b class={told.outcome === "OK" ? "good" : "bad"}>{told.outcome}</b>
        </>
      )}
      {isFull && <span class="quiet"> The address is full: what you do now is not in it.</span>}
    </p>
  );
}

function Owner({ view: { owner, group, members } }: { readonly view: GroupView }) {
  return (
    <section class="card owner" aria-labelledby="owner-title">
      <h2 id="owner-title">Owner</h2>
      <DeviceFacts
        status={owner.status}
        driver={owner.driver}
        facts={{
          group,
          "admin queue": owner.adminQueues,
          features: featureWords(owner.negotiated),
          commands: owner.opcodes
            .map((opcode) => `0x${opcode.toString(16).padStart(4, "0")}`)
            .join(" "),
        }}
      />
      <Pool owner={owner} members={members} />
      <p class="buttons">
        <button type="button" onClick={() => void act({ do: "reset-owner" })}>
          Reset and bring up
        </button>
      </p>
    </section>
  );
}

/** Who has the vectors, one cell each. */
function Pool({
  owner: { pool },
  members,
}: {
  readonly owner: OwnerView;
  readonly members: readonly MemberView[];
}) {
  const owners = members.flatMap(({ id, vectors }) => new Array<number>(vectors).fill(id));
  const words = `MSI-X vectors: ${pool.total}, ${pool.free} free, ${pool.min} to ${pool.max} each`;
  return (
    <figure class="pool">
      <figcaption>{words}</figcaption>
      <div aria-hidden="true">
        {Array.from({ length: pool.total }, (_, i) => {
          const id = owners[i];
          return (
            <span key={i} data-hue={id === undefined ? undefined : id % 8}>
              {id ?? ""}
            </span>
          );
        })}
      </div>
    </figure>
  );
}

function Members({ view: { members, countedTogether } }: { readonly view: GroupView }) {
  return (
    <section class="members" aria-labelledby="members-title">
      <header>
        <h2 id="members-title">Members</h2>
        <button
          type="button"
          disabled={members.length >= MOST_MEMBERS}
          onClick={() => void act({ do: "add" })}
        >
          Add a member
        </button>
        <p class="quiet">
          {countedTogether
            ? "Virtual functions: their number is NumVFs, which changes while VF Enable is clear. Each starts anew then."
            : "Devices of a platform group, which come and go one by one. The group keeps their vectors."}
        </p>
      </header>
      <ul class="cards">
        {members.map((member) => (
          <li key={member.id}>
            <Member
              member={member}
              isLast={member.id === members.at(-1)?.id}
              together={countedTogether}
            />
          </li>
        ))}
      </ul>
    </section>
  );
}

interface MemberProps {
  readonly member: MemberView;
  readonly isLast: boolean;
  readonly together: boolean;
}

function Member({ member, isLast, together }: MemberProps) {
  const { id, status, driver, negotiated, found, vectors, offered, settable } = member;
  const [wanted, setWanted] = useState<string | undefined>(undefined);
  const isDriven = driver !== "none";
  return (
    <section class="card member" aria-labelledby={`member-${id}`} data-member={id}>
      <h3 id={`member-${id}`}>
        <span class="dot" data-hue={id % 8} aria-hidden="true" /> Member {id}
      </h3>
      <DeviceFacts
        status={status}
        driver={driver}
        facts={{
          vectors: `${vectors}`,
          "its driver found": found === undefined ? undefined : `${found} vectors`,
          "in force": isDriven ? featureWords(negotiated) : undefined,
        }}
      />
      <form
        class="inline"
        onSubmit={(event) => {
          event.preventDefault();
          const number = Number(wanted ?? vectors);
          setWanted(undefined);
          void act({ do: "vectors", member: id, vectors: number });
        }}
      >
        <label>
          MSI-X vectors
          <input
            type="number"
            name="vectors"
            min={0}
            max={9999}
            required
            value={wanted ?? vectors}
            onInput={({ currentTarget }) => setWanted(currentTarget.value)}
          />
        </label>
        <button type="submit">Set</button>
      </form>
      <fieldset class="features">
        <legend>Features offered</legend>
        {offered
          .union(settable)
          .bits()
          .map((bit) => (
            <label key={bit} title={`bit ${bit}`}>
              <input
                type="checkbox"
                checked={offered.has(bit)}
                disabled={!settable.has(bit)}
                onChange={({ currentTarget }) => {
                  const on = currentTarget.checked;
                  // What is shown is what the device offers, and it has not been asked yet.
                  currentTarget.checked = offered.has(bit);
                  void act({ do: "feature", member: id, bit, on });
                }}
              />
              {shortFeature(bit)}
            </label>
          ))}
      </fieldset>
      <p class="buttons">
        {isDriven ? (
          <button type="button" onClick={() => void act({ do: "reset", member: id })}>
            Reset
          </button>
        ) : (
          <button type="button" onClick={() => void act({ do: "use", member: id })}>
            Bring up
          </button>
        )}
        <button
          type="button"
          disabled={together && !isLast}
          title={together && !isLast ? "The last virtual function goes first" : undefined}
          onClick={() => void act({ do: "remove", member: id })}
        >
          Remove
        </button>
      </p>
    </section>
  );
}

interface DeviceFactsProps {
  readonly status: number;
  readonly driver: string;
  readonly facts: Readonly<Record<string, string | undefined>>;
}

const BITS = [1, 2, 8, 4, 64, 128];

function DeviceFacts({ status, driver, facts }: DeviceFactsProps) {
  return (
    <dl>
      <div>
        <dt>device</dt>
        <dd class="status" data-status={status}>
          {status === 0 ? (
            <span class="quiet">reset</span>
          ) : (
            BITS.filter((bit) => (status & bit) !== 0).map((bit) => (
              <span key={bit} class="chip" data-bad={bit >= 64}>
                {statusNames(bit)}
              </span>
            ))
          )}
        </dd>
      </div>
      <div>
        <dt>driver</dt>
        <dd data-driver={driver}>{driver}</dd>
      </div>
      {Object.entries(facts).map(([name, value]) =>
        value === undefined ? null : (
          <div key={name}>
            <dt>{name}</dt>
            <dd data-fact={name}>{value}</dd>
          </div>
        ),
      )}
    </dl>
  );
}

function Log() {
  const commands = log.value;
  return (
    <section class="card log" aria-labelledby="log-title">
      <h2 id="log-title">Commands that the owner carried out</h2>
      <ol
        reversed
        start={commands[0]?.number ?? 1}
        // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls is reached by the keyboard
        tabIndex={0}
        aria-label="Commands, the newest first"
      >
        {commands.map(({ number, event }) => {
          const { name, opcode, group, member, status, qualifier } = event;
          const whom = DIALECTS["virtio-1.4"].destinations.find(
            ({ value }) => value === group,
          )?.name;
          return (
            <li key={number} data-status={status}>
              <code>{name ?? `0x${opcode.toString(16).padStart(4, "0")}`}</code> {whom ?? group}
              {member === 0 ? "" : `, member ${member}`}:{" "}
              <b class={status === 0 ? "good" : "bad"}>
                {answerWords("virtio-1.4", status, qualifier)}
              </b>
            </li>
          );
        })}
      </ol>
    </section>
  );
}

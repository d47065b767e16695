/** Versions of Debian packages, and what apt says of packages, as data. */

/** One version of a package that a suite has. */
export interface Candidate {
  /** The package. */
  readonly name: string;
  /** Its version. */
  readonly version: string;
  /** The suite: `trixie-backports`. */
  readonly suite: string;
}

/** A package in one version. */
export type Pinned = Pick<Candidate, "name" | "version">;

/**
 * Compares two versions as Debian does (deb-version(7)): epoch, upstream version, revision; in
 * each, digits by number and the rest by character, with `~` before the end and letters before all
 * others.
 *
 * @returns below 0 when `a` is older, above 0 when it is newer
 */
export function compareVersions(a: string, b: string): number {
  const left = split(a);
  const right = split(b);
  if (left.epoch !== right.epoch) return left.epoch - right.epoch;
  return compareParts(left.upstream, right.upstream) || compareParts(left.revision, right.revision);
}

/** The newest version of a package in a suite; `undefined` when the suite has none. */
export function newest(candidates: readonly Candidate[], suite: string): Candidate | undefined {
  return candidates
    .filter((candidate) => candidate.suite === suite)
    .sort((a, b) => compareVersions(b.version, a.version))[0];
}

/** Reads the output of `apt-cache madison`: `name | version | address suite/component …`. */
export function parseMadison(text: string): Candidate[] {
  return text.split("\n").flatMap((line) => {
    const [name, version, where] = line.split("|").map((part) => part.trim());
    const suite = where?.split(" ")[1]?.split("/")[0];
    return name && version && suite ? [{ name, version, suite }] : [];
  });
}

/** Reads what `apt-get --simulate install` would install. */
export function parseSimulation(text: string): Pinned[] {
  return [...text.matchAll(/^Inst (\S+) (?:\[[^\]]*\] )?\((\S+) /gm)].map(
    ([, name = "", version = ""]) => ({ name, version }),
  );
}

/** The packages that a stanza of `apt-cache show` depends on; of alternatives, the first. */
export function parseDepends(stanza: string): Pinned[] {
  const field = /^Depends: (.*)$/m.exec(stanza)?.[1] ?? "";
  return field.split(",").flatMap((clause) => {
    const match = /^\s*([a-z0-9][a-z0-9+.-]*)(?:\s*\(= ([^)\s]+)\))?/.exec(clause);
    return match?.[1] === undefined ? [] : [{ name: match[1], version: match[2] ?? "" }];
  });
}

interface SplitVersion {
  readonly epoch: number;
  readonly upstream: string;
  readonly revision: string;
}

function split(version: string): SplitVersion {
  const [, epoch = "0", rest = ""] = /^(?:(\d+):)?(.*)$/.exec(version) ?? [];
  const at = rest.lastIndexOf("-");
  return {
    epoch: Number(epoch),
    upstream: at < 0 ? rest : rest.slice(0, at),
    revision: at < 0 ? "" : rest.slice(at + 1),
  };
}

function compareParts(a: string, b: string): number {
  // Text and number in turn, a text first.
  const left = a.split(/(\d+)/);
  const right = b.split(/(\d+)/);
  for (let i = 0; i < Math.max(left.length, right.length); i++) {
    const one = left[i] ?? "";
    const other = right[i] ?? "";
    const order = i % 2 === 0 ? compareText(one, other) : Number(one) - Number(other);
    if (order !== 0) return order;
  }
  return 0;
}

function compareText(a: string, b: string): number {
  for (let i = 0; i < Math.max(a.length, b.length); i++) {
    const order = weight(a[i]) - weight(b[i]);
    if (order !== 0) return order;
  }
  return 0;
}

/** `~` sorts before the end of a part, letters before all that is none. */
function weight(character: string | undefined): number {
  if (character === undefined) return 0;
  if (character === "~") return -1;
  const code = character.charCodeAt(0);
  return /[A-Za-z]/.test(character) ? code : code + 256;
}

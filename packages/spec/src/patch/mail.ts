/** Patches as mails, the form that `git am` takes and that a mailing list reads. */
import { createHash } from "node:crypto";
import { applyChanges, countChanges, hunks } from "./diff.ts";
import type { FileChange } from "./draft.ts";

/** Who a series is from, and when it was made. */
export interface Author {
  /** `Name <address>`. */
  readonly from: string;
  /** The date of every patch. */
  readonly date: Date;
  /** Whether to sign the patches off. */
  readonly signOff: boolean;
}

/** What a patch says of itself. */
export interface Message {
  /** The first line. */
  readonly subject: string;
  /** Paragraphs, wrapped here. */
  readonly body: readonly string[];
}

const WIDTH = 72;
const SUMMARY_WIDTH = 40;
const DAYS = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"];
const MONTHS = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split(" ");
/** What git writes for a patch of no commit in particular. */
const NO_COMMIT = "0".repeat(40);
const HASH_LENGTH = 12;

/** The mail of patch `number` of `total`. */
export function patchMail(
  message: Message,
  files: readonly FileChange[],
  author: Author,
  number: number,
  total: number,
): string {
  const counts = files.map(({ file, changes }) => ({ path: file.path, ...countChanges(changes) }));
  const signature = author.signOff ? [`Signed-off-by: ${author.from}`] : [];
  const body = [...message.body.map((paragraph) => wrap(paragraph)), ...signature].join("\n\n");
  return [
    `From ${NO_COMMIT} Mon Sep 17 00:00:00 2001`,
    `From: ${author.from}`,
    `Date: ${mailDate(author.date)}`,
    `Subject: [PATCH ${number}/${total}] ${message.subject}`,
    "MIME-Version: 1.0",
    "Content-Type: text/plain; charset=UTF-8",
    "Content-Transfer-Encoding: 8bit",
    "",
    body,
    "---",
    ...summary(counts),
    "",
    `${files.map(fileDiff).join("")}-- `,
    "virtio-admin spec patch",
    "",
    "",
  ].join("\n");
}

/** The name of the file of a patch, as `git format-patch` makes it. */
export function patchName(number: number, subject: string): string {
  const words = subject.replace(/[^\w.]+/g, "-").replace(/^-+|[-.]+$/g, "");
  return `${String(number).padStart(4, "0")}-${words.slice(0, 52).replace(/[-.]+$/, "")}.patch`;
}

/** A paragraph in lines of at most 72 characters, or of `width`. */
export function wrap(paragraph: string, width = WIDTH): string {
  const lines: string[] = [];
  let line = "";
  for (const word of paragraph.split(/\s+/).filter(Boolean)) {
    if (line !== "" && line.length + 1 + word.length > width) {
      lines.push(line);
      line = word;
    } else {
      line = line === "" ? word : `${line} ${word}`;
    }
  }
  lines.push(line);
  return lines.join("\n");
}

function fileDiff({ file, changes }: FileChange): string {
  const { path, text } = file;
  const after = applyChanges(text, changes);
  return [
    `diff --git a/${path} b/${path}`,
    `index ${blobHash(text)}..${blobHash(after)} 100644`,
    `--- a/${path}`,
    `+++ b/${path}`,
    hunks(text, changes),
  ].join("\n");
}

/** The name that git gives a text: with it a patch can be merged where it does not apply. */
function blobHash(text: string): string {
  const bytes = Buffer.from(text, "utf8");
  const hash = createHash("sha1").update(`blob ${bytes.length}\0`).update(bytes).digest("hex");
  return hash.slice(0, HASH_LENGTH);
}

function summary(counts: readonly { path: string; added: number; removed: number }[]): string[] {
  const longest = Math.max(...counts.map(({ path }) => path.length));
  const most = Math.max(...counts.map(({ added, removed }) => added + removed));
  const scale = Math.min(1, SUMMARY_WIDTH / most);
  const digits = String(most).length;
  const bar = (count: number, mark: string): string =>
    mark.repeat(count === 0 ? 0 : Math.max(1, Math.floor(count * scale)));
  const lines = counts.map(({ path, added, removed }) => {
    const changed = String(added + removed).padStart(digits);
    return ` ${path.padEnd(longest)} | ${changed} ${bar(added, "+")}${bar(removed, "-")}`;
  });
  const added = counts.reduce((sum, count) => sum + count.added, 0);
  const removed = counts.reduce((sum, count) => sum + count.removed, 0);
  const parts = [
    ` ${counts.length} file${counts.length === 1 ? "" : "s"} changed`,
    ...(added === 0 ? [] : [`${added} insertion${added === 1 ? "" : "s"}(+)`]),
    ...(removed === 0 ? [] : [`${removed} deletion${removed === 1 ? "" : "s"}(-)`]),
  ];
  return [...lines, parts.join(", ")];
}

function mailDate(date: Date): string {
  const two = (value: number): string => String(value).padStart(2, "0");
  const day = `${DAYS[date.getUTCDay()]}, ${date.getUTCDate()} ${MONTHS[date.getUTCMonth()]}`;
  const time = [date.getUTCHours(), date.getUTCMinutes(), date.getUTCSeconds()].map(two).join(":");
  return `${day} ${date.getUTCFullYear()} ${time} +0000`;
}

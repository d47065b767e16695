/** A place for a file of the reader's: chosen, or dropped onto what is around it. */
import type { ComponentChildren } from "preact";
import { useRef, useState } from "preact/hooks";

/** What came of a file: its text, or why there is none. */
export type DroppedFile =
  | { readonly name: string; readonly text: string }
  | { readonly name: string; readonly refusal: string };

interface FileDropProps {
  /** What the file is for. */
  readonly label: string;
  /** The kinds of file that are offered. */
  readonly accept: string;
  /** The most bytes that are read: a larger file is not touched. */
  readonly limit: number;
  /** Told of a file. */
  readonly onFile: (file: DroppedFile) => void;
  /** What a file may be dropped onto. */
  readonly children?: ComponentChildren;
  /** Its class. */
  readonly class?: string;
}

/** The area, with a button that does the same without a mouse. */
export function FileDrop({ label, accept, limit, onFile, children, class: name }: FileDropProps) {
  const [over, setOver] = useState(false);
  const input = useRef<HTMLInputElement>(null);
  const take = async (file: File | null | undefined): Promise<void> => {
    if (file === null || file === undefined) return;
    onFile(await read(file, limit));
  };
  return (
    // biome-ignore lint/a11y/noStaticElementInteractions: the button within does the same
    <div
      class={`drop ${name ?? ""}`}
      data-over={over}
      onDragOver={(event) => {
        event.preventDefault();
        setOver(true);
      }}
      onDragLeave={() => setOver(false)}
      onDrop={(event) => {
        event.preventDefault();
        setOver(false);
        void take(event.dataTransfer?.files[0]);
      }}
    >
      <p class="choose">
        <button type="button" onClick={() => input.current?.click()}>
          {label}
        </button>
        <span class="quiet">or drop it here</span>
      </p>
      <input
        ref={input}
        class="unseen"
        type="file"
        tabIndex={-1}
        aria-label={label}
        accept={accept}
        onChange={({ currentTarget }) => {
          void take(currentTarget.files?.[0]);
          // The same file can be chosen again after it was edited.
          currentTarget.value = "";
        }}
      />
      {children}
    </div>
  );
}

async function read(file: File, limit: number): Promise<DroppedFile> {
  const { name, size } = file;
  if (size > limit) {
    return { name, refusal: `it has ${size} bytes, and ${limit} are read at most` };
  }
  try {
    return { name, text: await file.text() };
  } catch (error) {
    return { name, refusal: error instanceof Error ? error.message : "it cannot be read" };
  }
}

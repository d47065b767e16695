/** All moments as a list, of which only what is in view is drawn: a trace has many. */
import { useEffect, useRef, useState } from "preact/hooks";
import { type Film, goTo, settle, stop } from "./film.ts";

const ROW = 28;
const BEYOND = 6;

interface MomentListProps {
  readonly film: Film;
  readonly index: number;
}

/** The list; arrow keys walk through it. */
export function MomentList({ film, index }: MomentListProps) {
  const scroller = useRef<HTMLDivElement>(null);
  const [top, setTop] = useState(0);
  const height = scroller.current?.clientHeight ?? 20 * ROW;
  useEffect(() => {
    const { current } = scroller;
    if (current === null) return;
    const at = index * ROW;
    if (at < current.scrollTop || at + ROW > current.scrollTop + current.clientHeight) {
      current.scrollTop = Math.max(0, at - current.clientHeight / 2);
    }
    setTop(current.scrollTop);
  }, [index, film]);
  const first = Math.max(0, Math.floor(top / ROW) - BEYOND);
  const end = Math.min(film.length, Math.ceil((top + height) / ROW) + BEYOND);
  const rows: number[] = [];
  for (let i = first; i < end; i++) rows.push(i);
  // What is looked at is there for a screen reader, wherever the list is scrolled to.
  if (index < first || index >= end) rows.push(index);
  return (
    <div
      class="moments"
      ref={scroller}
      role="listbox"
      tabIndex={0}
      aria-label={`Moments of ${film.title}`}
      aria-activedescendant={`moment-${index}`}
      onScroll={({ currentTarget }) => setTop(currentTarget.scrollTop)}
      onKeyDown={(event) => walk(event, index, film.length)}
    >
      <div class="all" role="presentation" style={{ height: `${film.length * ROW}px` }}>
        {rows.map((i) => {
          const glimpse = film.glimpse(i);
          if (glimpse === undefined) return null;
          const { title, station, direction, time, status } = glimpse;
          return (
            // biome-ignore lint/a11y/useKeyWithClickEvents: the list has the keys
            <div
              key={i}
              id={`moment-${i}`}
              role="option"
              tabIndex={-1}
              aria-selected={i === index}
              aria-setsize={film.length}
              aria-posinset={i + 1}
              data-station={station}
              data-status={status}
              style={{ top: `${i * ROW}px` }}
              onClick={() => look(i)}
            >
              <span class="number">{i + 1}</span>
              <span class="arrow" aria-hidden="true">
                {direction === "down" ? "↓" : "↑"}
              </span>
              <span class="station">{station}</span>
              <span class="title">{title}</span>
              {time !== undefined && <span class="time">{(time / 1000).toFixed(2)} ms</span>}
            </div>
          );
        })}
      </div>
    </div>
  );
}

function look(to: number): void {
  stop();
  goTo(to);
  settle();
}

const PAGE = 20;

function walk(event: KeyboardEvent, index: number, length: number): void {
  const to = {
    ArrowDown: index + 1,
    ArrowUp: index - 1,
    PageDown: index + PAGE,
    PageUp: index - PAGE,
    Home: 0,
    End: length - 1,
  }[event.key];
  if (to === undefined) return;
  event.preventDefault();
  look(to);
}

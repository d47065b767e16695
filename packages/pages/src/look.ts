/** How a page is looked at. */
import type { BrowserContextOptions } from "playwright-core";

/** The window, the colours and the place. */
export interface Look {
  /** The colours that the system asks for; light unless given. */
  readonly scheme?: "light" | "dark";
  /** The width of the window in pixels; 1440 unless given. */
  readonly width?: number;
  /** Where the site is, when it is on another server than that of all cells. */
  readonly url?: string;
  /** More of the browser's own options. */
  readonly more?: BrowserContextOptions;
}

/** Light or dark: as the system has it, unless the reader says otherwise. */
import { effect, signal } from "@preact/signals";

/** What a reader can choose. */
export const THEMES = ["auto", "light", "dark"] as const;

/** One of them. */
export type Theme = (typeof THEMES)[number];

const KEY = "virtio-admin-theme";

/** What was chosen. */
export const theme = signal<Theme>(remembered());

effect(() => {
  const { value } = theme;
  const { dataset } = document.documentElement;
  if (value === "auto") delete dataset["theme"];
  else dataset["theme"] = value;
  try {
    localStorage.setItem(KEY, value);
  } catch {
    // A browser that keeps nothing shows the system's next time.
  }
});

function remembered(): Theme {
  try {
    const text = localStorage.getItem(KEY);
    return THEMES.find((each) => each === text) ?? "auto";
  } catch {
    return "auto";
  }
}

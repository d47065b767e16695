/** The frame around the panels. */
import { signal } from "@preact/signals";
import { Component, type ComponentChildren, type ComponentType } from "preact";
import { useEffect } from "preact/hooks";
import { addressOf, panel } from "./address.ts";
import { PANELS, type PanelName } from "./address-text.ts";
import { THEMES, type Theme, theme } from "./theme.ts";

/** What a panel is called, and what it is for. */
const TITLES: Readonly<Record<PanelName, string>> = {
  maps: "Register maps",
  group: "Device group",
  way: "Way of a command",
};

const THEME_TITLES: Readonly<Record<Theme, string>> = {
  auto: "System colours",
  light: "Light",
  dark: "Dark",
};

/** Loaded when they are first looked at. */
const LOADERS: Readonly<Record<PanelName, () => Promise<{ readonly Panel: ComponentType }>>> = {
  maps: () => import("../maps/panel.tsx"),
  group: () => import("../group/panel.tsx"),
  way: () => import("../way/panel.tsx"),
};

const loaded = signal<ReadonlyMap<PanelName, ComponentType>>(new Map());
const failed = signal<string | undefined>(undefined);

async function load(name: PanelName): Promise<void> {
  if (loaded.value.has(name)) return;
  try {
    const { Panel } = await LOADERS[name]();
    loaded.value = new Map(loaded.value).set(name, Panel);
    failed.value = undefined;
  } catch (error) {
    failed.value = error instanceof Error ? error.message : String(error);
  }
}

/** The whole page. */
export function App() {
  const name = panel.value;
  useEffect(() => {
    void load(name);
    document.title = `${TITLES[name]} – virtio-admin workbench`;
  }, [name]);
  const Panel = loaded.value.get(name);
  return (
    <>
      <button type="button" class="skip" onClick={skip}>
        Skip to the panel
      </button>
      <header class="top">
        <p class="brand">
          <a href="../index.html">virtio-admin</a> <span>workbench</span>
        </p>
        <nav aria-label="Panels">
          {PANELS.map((each) => (
            <a key={each} href={addressOf(each)} aria-current={each === name ? "page" : undefined}>
              {TITLES[each]}
            </a>
          ))}
        </nav>
        <ThemeChoice />
      </header>
      <main id="main" tabIndex={-1} data-panel={name}>
        <h1 class="unseen">{TITLES[name]}</h1>
        {failed.value !== undefined && (
          <p class="refusal" role="alert">
            The panel cannot be loaded: {failed.value}
          </p>
        )}
        <Boundary key={name}>
          {Panel === undefined ? <p class="loading">Loading…</p> : <Panel />}
        </Boundary>
      </main>
    </>
  );
}

/** No link: the address is the state of the page. */
function skip(): void {
  document.getElementById("main")?.focus();
}

function ThemeChoice() {
  return (
    <label class="theme">
      <span class="unseen">Colours</span>
      <select
        value={theme.value}
        onChange={({ currentTarget }) => {
          theme.value = currentTarget.value as Theme;
        }}
      >
        {THEMES.map((each) => (
          <option key={each} value={each}>
            {THEME_TITLES[each]}
          </option>
        ))}
      </select>
    </label>
  );
}

/** Keeps what goes wrong in a panel within it. */
class Boundary extends Component<{ children: ComponentChildren }, { message?: string }> {
  override state: { message?: string } = {};

  static override getDerivedStateFromError(error: unknown) {
    return { message: error instanceof Error ? error.message : String(error) };
  }

  override render() {
    const { message } = this.state;
    if (message === undefined) return this.props.children;
    return (
      <div class="refusal" role="alert">
        <p>This panel has failed: {message}</p>
        <p>
          <button type="button" onClick={() => this.setState({ message: undefined } as never)}>
            Try again
          </button>
        </p>
      </div>
    );
  }
}

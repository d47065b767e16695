// A typedoc plugin, for the site around the reference. The workbench is built into the folder of the
// site after typedoc: every page links to it. A document without a title has that of its heading, and
// `[text](site:workbench/index.html#maps)` in one that is made for the site leads to a place in it.
import { Converter, JSX, PageEvent } from "typedoc";

const WORKBENCH = "workbench/index.html";
const LINK = /href="site:([^"]*)"/g;

/** Groups of documents that do not name one, by where they are. */
const GROUPS = [
  [/\/docs\/decisions\//, "Decisions"],
  [/\/docs\/guides\//, "Guides"],
  [/./, "Project"],
];

/** What its first heading says. */
function headingOf(document) {
  const text = document.content.map(({ text: words }) => words).join("");
  return /^# +(.*)$/m.exec(text)?.[1]?.replaceAll("`", "");
}

/** Called by typedoc. */
export function load(app) {
  app.converter.on(Converter.EVENT_CREATE_DOCUMENT, (_context, document) => {
    const path = app.files.getReflectionPath?.(document) ?? "";
    document.frontmatter.group ??= GROUPS.find(([where]) => where.test(path))?.[1];
    if (document.frontmatter.title === undefined)
      document.name = headingOf(document) ?? document.name;
  });
  app.renderer.hooks.on("sidebar.begin", (context) =>
    JSX.createElement(
      "nav",
      { class: "tsd-navigation", "aria-label": "Workbench" },
      JSX.createElement("a", { href: context.relativeURL(WORKBENCH) }, "Workbench"),
    ),
  );
  app.renderer.on(PageEvent.END, (page) => {
    const root = "../".repeat(page.url.split("/").length - 1);
    page.contents = page.contents?.replaceAll(LINK, (_, path) => `href="${root}${path}"`);
  });
}

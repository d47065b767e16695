// A typedoc plugin. The workbench is built into the folder of the site after typedoc: every page
// links to it, and so does `[text](workbench:#maps)` in a document that is made for the site.
import { JSX, PageEvent } from "typedoc";

/** Where the workbench is, from the root of the site. */
const WORKBENCH = "workbench/index.html";

/** Called by typedoc. */
export function load(app) {
  app.renderer.hooks.on("sidebar.begin", (context) =>
    JSX.createElement(
      "nav",
      { class: "tsd-navigation", "aria-label": "Workbench" },
      JSX.createElement("a", { href: context.relativeURL(WORKBENCH) }, "Workbench"),
    ),
  );
  app.renderer.on(PageEvent.END, (page) => {
    const depth = page.url.split("/").length - 1;
    page.contents = page.contents?.replaceAll(
      'href="workbench:',
      `href="${"../".repeat(depth)}${WORKBENCH}`,
    );
  });
}

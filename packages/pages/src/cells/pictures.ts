/** Every panel at three widths, light and dark: nothing sticks out, and pictures for who looks. */
import { holds } from "../expect.ts";
import type { Cell } from "./types.ts";

const WIDTHS = [360, 800, 1440];
const PANELS: Readonly<Record<string, string>> = {
  plain: "#maps?at=mmio/AdminQueueIndex",
  maps: "#maps?at=mmio/AdminQueueIndex&mmioVs=virtio_mmio&on=mmio",
  group: "#group?do=v2.7,f1.29.0,u3,v3.4",
  way: "#way?transport=pci&at=6",
  trace: "#way?trace=linux-pci&at=283",
};

/** Pictures. */
export const PICTURES: Cell = {
  name: "pictures",
  checks: "at 360, 800 and 1440 pixels, light and dark, no panel is wider than the window",
  run: async ({ open, picture }) => {
    let count = 0;
    for (const width of WIDTHS) {
      for (const scheme of ["light", "dark"] as const) {
        for (const [name, hash] of Object.entries(PANELS)) {
          const sitting = await open(hash, { width, scheme });
          const wide = await sitting.page.evaluate(() => document.documentElement.scrollWidth);
          picture(`${name}-${width}-${scheme}`, await sitting.page.screenshot());
          holds(`${name} is ${wide} pixels wide at ${width}`, wide <= width);
          await sitting.close();
          count++;
        }
      }
    }
    return [`${count} pictures`];
  },
};

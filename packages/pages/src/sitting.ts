/** A page that somebody sits before: what goes wrong in it is not overlooked. */
import type { Browser, BrowserContext, Page, Request } from "playwright-core";
import type { Look } from "./look.ts";

const HEIGHT = 900;
const WIDTH = 1440;
const TIMEOUT = 60_000;

/** A page, and what it did that it should not have. */
export class Sitting {
  /** The page. */
  readonly page: Page;
  /** The address of every request. */
  readonly requested: string[] = [];
  readonly #context: BrowserContext;
  readonly #origin: string;
  readonly #complaints: string[] = [];

  private constructor(context: BrowserContext, page: Page, origin: string) {
    this.#context = context;
    this.page = page;
    this.#origin = origin;
    page.setDefaultTimeout(TIMEOUT);
    page.on("pageerror", (error) => this.#complaints.push(`the page threw ${error.message}`));
    page.on("console", (message) => {
      const isOwn = message.type() === "error" || message.type() === "warning";
      if (isOwn && !message.text().startsWith("Service Worker registration blocked")) {
        this.#complaints.push(`the page said: ${message.text()}`);
      }
    });
    context.on("request", (request) => this.#take(request));
  }

  /** Opens a page of a server, at an address below it. */
  static async open(
    browser: Browser,
    url: string,
    path: string,
    look: Look = {},
  ): Promise<Sitting> {
    const { scheme = "light", width = WIDTH, more = {} } = look;
    const context = await browser.newContext({
      viewport: { width, height: HEIGHT },
      colorScheme: scheme,
      reducedMotion: "reduce",
      serviceWorkers: "block",
      ...more,
    });
    const sitting = new Sitting(context, await context.newPage(), new URL(url).origin);
    await sitting.go(`${url}${path}`);
    return sitting;
  }

  /** Goes to an address, and waits for the panel. */
  async go(url: string): Promise<void> {
    await this.page.goto(url);
    await this.settled();
  }

  /** Waits until the panel is there and nothing is under way. */
  async settled(): Promise<void> {
    await this.page.waitForFunction(
      () =>
        document.querySelector("main > *:not(h1)") !== null &&
        document.querySelector(".loading") === null &&
        document.querySelector("[aria-busy=true]") === null,
    );
  }

  /** What the page should not have done. */
  get complaints(): readonly string[] {
    return this.#complaints;
  }

  /** Loses the network, or has it again. */
  async offline(isOffline: boolean): Promise<void> {
    await this.#context.setOffline(isOffline);
  }

  /** Closes the page. */
  async close(): Promise<void> {
    await this.#context.close();
  }

  #take(request: Request): void {
    const url = request.url();
    this.requested.push(url);
    if (!url.startsWith(`${this.#origin}/`) && !/^(data|blob):/.test(url)) {
      this.#complaints.push(`the page asked for ${url}`);
    }
  }
}

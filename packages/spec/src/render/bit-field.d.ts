// What of these libraries the diagrams use; they ship no types.
declare module "bit-field" {
  /** A run of bits; `type` 2 to 7 chooses a colour. */
  export interface Run {
    readonly bits: number;
    readonly name?: string;
    readonly type?: number;
    readonly attr?: string | readonly string[];
  }
  export interface Options {
    readonly lanes: number;
    readonly bits: number;
    readonly hspace: number;
    readonly vspace?: number;
    readonly fontsize?: number;
    readonly fontfamily?: string;
    readonly vflip?: boolean;
    readonly hflip?: boolean;
    readonly compact?: boolean;
    readonly margin?: Readonly<Record<"left" | "right" | "top" | "bottom", number>>;
    readonly label?: { readonly left?: readonly string[]; readonly right?: readonly string[] };
  }
  /** An SVG as JsonML. */
  export function render(runs: Run[], options: Options): unknown[];
}
declare module "onml" {
  /** JsonML as text. */
  export function stringify(tree: unknown, indent?: number): string;
}

interface ImportMeta {
  /** What Vite tells of the build. */
  readonly env: { readonly PROD: boolean };
}

declare module "*.css" {}

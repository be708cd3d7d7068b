/** The image that is used when a spec names none; `pnpm build:image` makes it from Debian packages. */
export const DEFAULT_IMAGE: string = "glovebox/sandbox:latest";

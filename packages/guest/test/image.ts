/** The image of the live suites: what `pnpm build:image` makes. */
export const image = "glovebox/sandbox:latest";

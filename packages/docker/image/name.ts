export { DEFAULT_IMAGE } from "../src/default-image.ts";

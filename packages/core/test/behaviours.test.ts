import { expect, test } from "vitest";
import { behaviours } from "./behaviours.ts";

test.each(Object.entries(behaviours))("%s", async (_name, behave) => {
  await expect(behave()).resolves.toBeUndefined();
});

import { expect, test } from "vitest";
import type { Capabilities } from "../src/capabilities.ts";
import { cloudflareBridge, cloudflareWorker } from "./clouds/cloudflare.ts";
import { daytonaContainer, daytonaVirtualMachine } from "./clouds/daytona.ts";
import { modal, modalWithMemorySnapshot } from "./clouds/modal.ts";
import { vercel } from "./clouds/vercel.ts";

const tables: Readonly<Record<string, Capabilities>> = {
  cloudflareBridge,
  cloudflareWorker,
  daytonaContainer,
  daytonaVirtualMachine,
  modal,
  modalWithMemorySnapshot,
  vercel,
};

test("the clouds' capability tables are data that survives JSON", () => {
  for (const table of Object.values(tables)) expect(JSON.parse(JSON.stringify(table))).toEqual(table);
});

test.each(Object.entries(tables))("%s names the same capabilities as the contract", (_name, table) => {
  const { sizes: _sizes, ...named } = table;
  const { sizes: _expected, ...expected } = cloudflareWorker;
  expect(Object.keys(named).toSorted()).toEqual(Object.keys(expected).toSorted());
});

import { defineConfig } from "vitest/config";

const condition = "@glovebox/source";

/** Suites that need no engine run a package at a time; those under test/ cross packages. `test/suites` says what each needs and may take. */
export default defineConfig({
  resolve: { conditions: [condition] },
  ssr: { resolve: { conditions: [condition, "node", "import", "module", "default"] } },
  test: {
    execArgv: [`--conditions=${condition}`],
    pool: "forks",
    include: ["packages/*/test/**/*.test.ts", "test/**/*.test.ts"],
    testTimeout: 30_000,
    hookTimeout: 120_000,
    fileParallelism: true,
    maxWorkers: 2,
  },
});

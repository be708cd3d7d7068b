import type { RequirementName } from "./requirements.ts";

/** One part of `pnpm test`: what it needs, what it runs and how long it may take in CI (2 cores). */
export interface Suite {
  readonly name: string;
  readonly needs: readonly RequirementName[];
  /** Run one after another from the repository's root; the first failure ends the suite. */
  readonly commands: readonly (readonly [string, ...string[]])[];
  /** Beyond it the suite is ended and has failed. */
  readonly budgetSeconds: number;
}

const needsEngine = ["**/live-*.test.ts", "**/daemon-*.test.ts"];
const vitest = ["vitest", "run", "--reporter=default", "--reporter=json"] as const;

export const suites: readonly Suite[] = [
  { name: "check", needs: [], commands: [["node", "test/check/run.ts"]], budgetSeconds: 240 },
  {
    name: "unit",
    needs: [],
    commands: [[...vitest, ...needsEngine.flatMap((glob) => ["--exclude", glob]), "packages/", "test/layout", "test/docs"]],
    budgetSeconds: 300,
  },
  {
    name: "guest",
    needs: ["go"],
    commands: [
      ["node", "packages/guest/test-daemon.ts"],
      ["node", "packages/guest/build.ts", "--check"],
    ],
    budgetSeconds: 240,
  },
  {
    name: "live",
    needs: ["engine", "image"],
    commands: [[...vitest, "--no-file-parallelism", "packages/", "--exclude", "**/!(live-*|daemon-*).test.ts"]],
    budgetSeconds: 480,
  },
  {
    name: "across",
    needs: ["engine", "image", "unzip"],
    commands: [[...vitest, "--no-file-parallelism", "test/e2e", "test/crash", "test/security", "test/load"]],
    budgetSeconds: 420,
  },
  { name: "examples", needs: [], commands: [["node", "test/suites/examples.ts"]], budgetSeconds: 120 },
  {
    name: "demo",
    needs: ["engine", "image"],
    commands: ["docker", "virtual"].map(
      (provider) => ["node", "--conditions=@glovebox/source", "packages/cli/src/main.ts", "demo", "--provider", provider] as const,
    ),
    budgetSeconds: 120,
  },
];

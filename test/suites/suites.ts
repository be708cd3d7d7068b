import type { RequirementName } from "./requirements.ts";

/** One part of `pnpm test`: what it needs, what it runs and how long it may take in CI (2 cores). */
export interface Suite {
  readonly name: string;
  readonly needs: readonly RequirementName[];
  /** Run one after another from the repository's root; the first failure ends the suite. */
  readonly commands: readonly (readonly [string, ...string[]])[];
  /** Added to the environment of the commands. */
  readonly env?: Readonly<Record<string, string>>;
  /** Beyond it the suite is ended and has failed. */
  readonly budgetSeconds: number;
}

const needsEngine = ["**/live-*.test.ts", "**/daemon-*.test.ts"];
const onlyEngine = "**/!(live-*|daemon-*).test.ts";
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
    commands: [[...vitest, "--no-file-parallelism", "packages/", "--exclude", onlyEngine]],
    budgetSeconds: 480,
  },
  {
    name: "arm64", // the guest's tests once more, with the other architecture's daemon
    needs: ["engine", "image", "qemu"],
    // A flood of signals ends the emulator itself, so that is for the machine's own daemon.
    commands: [[...vitest, "--no-file-parallelism", "packages/guest/", "--exclude", onlyEngine, "--exclude", "**/daemon-unprivileged.test.ts"]],
    env: { GLOVEBOX_GUEST_EMULATED: "arm64" },
    budgetSeconds: 180,
  },
  {
    name: "across",
    needs: ["engine", "image", "unzip"],
    commands: [[...vitest, "--no-file-parallelism", "test/e2e/", "test/crash/", "test/security/", "test/load/", "--exclude", "**/engine-*.test.ts"]],
    budgetSeconds: 360,
  },
  {
    name: "differential",
    needs: ["engine", "image"],
    commands: [[...vitest, "test/differential/"]],
    budgetSeconds: 240,
  },
  { name: "faults", needs: [], commands: [[...vitest, "test/faults/"]], budgetSeconds: 240 },
  { name: "outage", needs: ["engine", "image", "dockerd"], commands: [[...vitest, "test/crash/engine-"]], budgetSeconds: 90 },
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

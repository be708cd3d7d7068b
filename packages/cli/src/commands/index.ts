import type { Command } from "../command.ts";
import { demo } from "./demo.ts";
import { doctor } from "./doctor.ts";
import { exec } from "./exec.ts";
import { ps } from "./ps.ts";
import { rm } from "./rm.ts";
import { shell } from "./shell.ts";
import { simulator } from "./simulator.ts";
import { version } from "./version.ts";
import { worker } from "./worker.ts";

/** In the order in which `--help` lists them. */
export const commands: readonly Command[] = [demo, worker, exec, shell, ps, rm, doctor, simulator, version];

import type { DifferentialSession } from "../session.ts";
import { bashSessions } from "./bash.ts";
import { fileSessions } from "./files.ts";
import { pathSessions } from "./paths.ts";
import { searchSessions } from "./searches.ts";
import { turnSessions } from "./turns.ts";

export const sessions: readonly DifferentialSession[] = [...bashSessions, ...fileSessions, ...searchSessions, ...pathSessions, ...turnSessions];

import { defineConfig } from "@glovebox/cli";
import { docker } from "@glovebox/docker";

/** Reaches its guests through the engine, as on an engine that is not this machine's. */
export default defineConfig({ provider: docker({ transport: "exec" }) });

import { appendFileSync } from "node:fs";
import { defineConfig } from "@glovebox/cli";
import { customTool } from "@glovebox/executor";
import { z } from "zod";

const path = process.env["NOTES"];
if (path === undefined) throw new Error("NOTES names no file");

/** `note` writes a line into the file that NOTES names, on this machine: an effect outside of every sandbox, which nothing inside can fence. */
export default defineConfig({
  provider: "docker",
  tools: [
    customTool({
      name: "note",
      inputSchema: z.object({ line: z.string() }),
      run: ({ line }) => {
        appendFileSync(path, `${line}\n`);
        return `noted ${line}`;
      },
    }),
  ],
});

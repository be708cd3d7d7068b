import { randomBytes } from "node:crypto";
import { docker } from "./guest-container.ts";
import { image } from "./image.ts";

/** The live suites' image without what many images lack: no bash, so that /bin/sh is the shell, and no ripgrep. */
export class PlainImage implements AsyncDisposable {
  readonly tag: string;

  private constructor(tag: string) {
    this.tag = tag;
  }

  static async make(): Promise<PlainImage> {
    const name = `guest-test-plain-${randomBytes(6).toString("hex")}`;
    try {
      await docker("run", "--name", name, "--user", "0:0", "--network", "none", image, "rm", "-f", "/usr/bin/bash", "/usr/bin/rg");
      await docker("commit", name, `${name}:test`);
    } finally {
      await docker("rm", "-f", name);
    }
    return new PlainImage(`${name}:test`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await docker("rmi", "-f", this.tag);
  }
}

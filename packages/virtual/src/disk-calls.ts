import { DiskError } from "./disk-error.ts";
import type { VirtualDisk } from "./disk.ts";
import type { AnswerMessage, FileArgument, FileMessage, FileOperation } from "./messages.ts";

const text = (value: FileArgument | undefined): string => {
  if (typeof value !== "string" || value.includes("\0")) throw new DiskError("EINVAL", String(value));
  return value.startsWith("/") ? value : `/${value}`;
};
const bytes = (value: FileArgument | undefined): Uint8Array => (value instanceof Uint8Array ? value : new Uint8Array());
const statAnswer = (disk: VirtualDisk, path: string, follow: boolean): unknown => {
  const stat = disk.stat({ path }, follow);
  return { type: stat.type, mode: stat.mode, size: stat.sizeBytes, modifiedMs: Date.parse(stat.modifiedAt) };
};

const newFile = { mode: 0o644, createParents: false, parentMode: 0o755, exclusive: false };

/** just-bash's file calls on the disk. */
const operations: Readonly<Record<FileOperation, (disk: VirtualDisk, ...argumentList: readonly FileArgument[]) => unknown>> = {
  // a copy of its own: a view would send the whole buffer
  readFileBuffer: (disk, path) => disk.read({ path: text(path) }).slice(),
  writeFile: (disk, path, content) => {
    if (isNull(text(path))) return;
    disk.write({ path: text(path) }, bytes(content), newFile);
  },
  appendFile: (disk, path, content) => {
    if (isNull(text(path))) return;
    disk.append({ path: text(path) }, bytes(content), newFile.mode);
  },
  exists: (disk, path) => {
    try {
      disk.stat({ path: text(path) }, true);
      return true;
    } catch (error) {
      if (error instanceof DiskError) return false;
      throw error;
    }
  },
  stat: (disk, path) => statAnswer(disk, text(path), true),
  lstat: (disk, path) => statAnswer(disk, text(path), false),
  mkdir: (disk, path, recursive) => disk.makeDirectory({ path: text(path) }, 0o755, recursive === true),
  readdirWithFileTypes: (disk, path) => disk.list({ path: text(path) }).map(({ name, stat }) => ({ name, type: stat.type })),
  rm: (disk, path, recursive, force) => disk.remove({ path: text(path) }, { recursive: recursive === true, missingOk: force === true }),
  cp: (disk, source, target, recursive) => copy(disk, text(source), text(target), recursive === true),
  mv: (disk, source, target) => disk.rename({ path: text(source) }, text(target)),
  chmod: (disk, path, mode) => disk.chmod({ path: text(path) }, Number(mode)),
  symlink: (disk, target, path) => disk.symlink({ path: text(path) }, String(target)),
  link: (disk, existing, path) => disk.link(text(existing), { path: text(path) }),
  readlink: (disk, path) => disk.readlink({ path: text(path) }),
  realpath: (disk, path) => disk.realpath({ path: text(path) }),
  utimes: (disk, path, modifiedMs) => disk.touch({ path: text(path) }, Number(modifiedMs)),
};

const isNull = (path: string): boolean => path === "/dev/null";

function copy(disk: VirtualDisk, source: string, target: string, recursive: boolean): void {
  const stat = disk.stat({ path: source }, true);
  if (stat.type === "file") {
    disk.write({ path: target }, disk.read({ path: source }).slice(), { ...newFile, mode: stat.mode });
    return;
  }
  if (!recursive) throw new DiskError("EISDIR", source);
  const pending = [{ from: source, to: target }];
  const [realSource, realTarget] = [disk.realpath({ path: source }), target.replace(/\/+$/u, "")];
  if (`${realTarget}/`.startsWith(`${realSource}/`)) throw new DiskError("EINVAL", target);
  for (let next = pending.pop(); next !== undefined; next = pending.pop()) {
    const entries = disk.list({ path: next.from });
    disk.makeDirectory({ path: next.to }, disk.stat({ path: next.from }, true).mode, true);
    for (const { name, stat: entry } of entries) {
      const [from, to] = [`${next.from}/${name}`, `${next.to}/${name}`];
      if (entry.type === "directory") pending.push({ from, to });
      else if (entry.target !== undefined) disk.symlink({ path: to }, entry.target);
      else disk.write({ path: to }, disk.read({ path: from }).slice(), { ...newFile, mode: entry.mode });
    }
  }
}

/** Do what a thread asked for. Never throws: what fails is an answer too. */
export function answer(disk: VirtualDisk, message: FileMessage): AnswerMessage {
  const { request, operation } = message;
  try {
    return { kind: "answer", request, ok: true, value: operations[operation](disk, ...message.arguments) };
  } catch (error) {
    if (!(error instanceof DiskError)) throw error;
    return { kind: "answer", request, ok: false, errno: error.errno, text: error.toNodeText(operation, String(message.arguments[0])) };
  }
}

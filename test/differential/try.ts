import { sessions } from "./cases/index.ts";
import { gloveboxAnswers, officialAnswers } from "./run.ts";
const chosen = sessions.filter(({ name }) => process.argv.length < 3 || name.includes(process.argv[2] as string));
const t = performance.now();
const ours = await gloveboxAnswers(chosen);
console.log("ours", ours.size, performance.now() - t);
const t2 = performance.now();
const theirs = await officialAnswers(chosen);
console.log("theirs", theirs.size, performance.now() - t2);
let n = 0;
for (const [name, a] of ours) { const b = theirs.get(name)!; if (a.isError !== b.isError || a.text !== b.text) { n++; console.log(`## ${name}\n  ours   ${a.isError ? "E" : " "} ${JSON.stringify(a.text.slice(0, 300))}\n  theirs ${b.isError ? "E" : " "} ${JSON.stringify(b.text.slice(0, 300))}`); } }
console.log(n, "differ of", ours.size);

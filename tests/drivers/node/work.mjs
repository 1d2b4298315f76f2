// What the Node programs share; the work and what they print is told in docs/drivers.md.

import { readFileSync } from "node:fs";

export const ROUNDS = Number(process.env.ROUNDS);
export const CLIENTS = Number(process.env.CLIENTS);
export const [BIG, BATCH, COPIED] = [2000, 10, 50];
export const KEPT =
  "SELECT kind, count(*)::int AS rows, sum(value)::int AS sum FROM work WHERE client = $1 GROUP BY kind";

/** The version that is installed of a package. */
export function version(name) {
  const file = new URL(`node_modules/${name}/package.json`, import.meta.url);
  return JSON.parse(readFileSync(file)).version;
}

/** What one client has counted. */
export class Counts extends Map {
  add(what, count) {
    this.set(what, (this.get(what) ?? 0) + count);
  }
}

/** Run all clients at once, say what they counted, and stay until the input ends. */
export async function run(driver, client) {
  console.log(`driver ${driver}`);
  const one = async (number) => {
    const counts = new Counts();
    try {
      await client(number, counts);
    } catch (error) {
      console.log(`failed ${number} ${error.code ?? ""} ${error.message.replace(/\s+/g, " ")}`);
      return;
    }
    for (const [what, count] of counts) console.log(`${number} ${what}=${count}`);
  };
  await Promise.all(Array.from({ length: CLIENTS }, (_, number) => one(number)));
  console.log("done");
  for await (const _ of process.stdin);
}

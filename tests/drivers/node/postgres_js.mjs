// postgres.js, which is its own pool, pipelines by itself and prepares every query.

import postgres from "postgres";
import { BATCH, BIG, CLIENTS, COPIED, KEPT, ROUNDS, run, version } from "./work.mjs";

const sql = postgres(process.env.DATABASE_URL, { max: CLIENTS });

async function failing(connection, counts) {
  try {
    await connection`SELECT 1 / ${0}::int`;
  } catch (error) {
    if (error.code !== "22012") throw error;
    counts.add(`error ${error.code}`, 1);
  }
}

async function client(number, counts) {
  for (let turn = 0; turn < ROUNDS; turn++) {
    const [asked] = await sql`SELECT ${turn}::int + 1 AS n, ${"é"}::text AS t`;
    counts.add("parameters", asked.n + asked.t.length);
    await failing(sql, counts);
    await sql.begin(async (sql) => {
      await sql`INSERT INTO work (client, kind, value) VALUES (${number}, 'commit', ${turn})`;
    });
    await sql
      .begin(async (sql) => {
        await sql`INSERT INTO work (client, kind, value) VALUES (${number}, 'failed', ${turn})`;
        await sql.savepoint((sql) => sql`SELECT 1 / ${0}::int`).catch(() => counts.add("saved", 1));
        throw new Error("undone");
      })
      .catch((error) => counts.add(error.message, 1));
    const rows = Array.from({ length: BATCH }, (_, value) => ({ client: number, kind: "batch", value }));
    await sql`INSERT INTO work ${sql(rows)}`;
    const pipeline = rows.map(({ value }) => sql`SELECT ${value}::int AS n`);
    for (const [row] of await Promise.all(pipeline)) counts.add("pipeline", row.n);
    const big = sql`SELECT n, repeat('x', 100) AS t FROM generate_series(1, ${BIG}::int) AS n`;
    for await (const part of big.cursor(500)) {
      counts.add("big", part.reduce((sum, row) => sum + row.n + row.t.length, 0));
    }
    // Reserved, since it would send other clients' queries into the COPY.
    const own = await sql.reserve();
    const into = await own`COPY work (client, kind, value) FROM STDIN`.writable();
    for (let n = 0; n < COPIED; n++) into.write(`${number}\tcopy\t${n}\n`);
    await new Promise((resolve, reject) => into.on("error", reject).end(resolve));
    own.release();
  }
  for (const { kind, rows, sum } of await sql.unsafe(KEPT, [number])) {
    counts.add(`${kind} rows`, rows);
    counts.add(`${kind} sum`, sum);
  }
}

await run(`postgres.js ${version("postgres")}`, client);
await sql.end();

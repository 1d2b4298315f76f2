// node-postgres with its pool: unnamed statements, and named ones where a query has a name.

import pg from "pg";
import { finished } from "node:stream/promises";
import { from, to } from "pg-copy-streams";
import { BATCH, BIG, CLIENTS, COPIED, KEPT, ROUNDS, run, version } from "./work.mjs";

const INSERT = "INSERT INTO work (client, kind, value) VALUES ($1, $2, $3)";
const pool = new pg.Pool({ connectionString: process.env.DATABASE_URL, max: CLIENTS });

async function taken(use) {
  const connection = await pool.connect();
  try {
    return await use(connection);
  } finally {
    connection.release();
  }
}

async function failing(connection, counts) {
  try {
    await connection.query("SELECT 1 / $1::int", [0]);
  } catch (error) {
    if (error.code !== "22012") throw error;
    counts.add(`error ${error.code}`, 1);
  }
}

async function client(number, counts) {
  for (let turn = 0; turn < ROUNDS; turn++) {
    const asked = await pool.query("SELECT $1::int + 1 AS n, $2::text AS t", [turn, "é"]);
    counts.add("parameters", asked.rows[0].n + asked.rows[0].t.length);
    // One name, and a text of its own for each client.
    const named = { name: `mine-${number}`, text: `SELECT $1::int + ${number} AS n` };
    counts.add("named", (await pool.query({ ...named, values: [turn] })).rows[0].n);
    await taken(async (connection) => {
      await failing(connection, counts);
      counts.add("went on", (await connection.query("SELECT 1 AS n")).rows[0].n);
    });
    await taken(async (connection) => {
      await connection.query("BEGIN");
      await connection.query(INSERT, [number, "commit", turn]);
      await connection.query({ name: "insert", text: INSERT, values: [number, "commit", turn] });
      await connection.query("COMMIT");
      await connection.query("BEGIN");
      await connection.query(INSERT, [number, "failed", turn]);
      await failing(connection, counts);
      await connection.query("ROLLBACK");
    });
    await taken(async (connection) => {
      const batch = Array.from({ length: BATCH }, (_, n) => connection.query(INSERT, [number, "batch", n]));
      await Promise.all(batch);
    });
    const big = await pool.query("SELECT n, repeat('x', 100) AS t FROM generate_series(1, $1) AS n", [BIG]);
    counts.add("big", big.rows.reduce((sum, row) => sum + row.n + row.t.length, 0));
    await taken(async (connection) => {
      const into = connection.query(from("COPY work (client, kind, value) FROM STDIN"));
      for (let n = 0; n < COPIED; n++) into.write(`${number}\tcopy\t${n}\n`);
      into.end();
      await finished(into);
      const out = connection.query(to(`COPY (SELECT 1 FROM work WHERE client = ${number}) TO STDOUT`));
      let text = "";
      for await (const chunk of out) text += chunk;
      counts.add("copied", text.split("\n").length - 1);
    });
  }
  for (const { kind, rows, sum } of (await pool.query(KEPT, [number])).rows) {
    counts.add(`${kind} rows`, rows);
    counts.add(`${kind} sum`, sum);
  }
}

await run(`node-postgres ${version("pg")}, pg-pool ${version("pg-pool")}`, client);
await pool.end();

// MariaDB's connector for Node with its pool.

import mariadb from "mariadb";
import * as sql from "./mysql_work.mjs";
import { BATCH, CLIENTS, ROUNDS, run, version } from "./work.mjs";

const pool = mariadb.createPool({ ...sql.WHERE, connectionLimit: CLIENTS, timezone: "Z" });

async function taken(use) {
  const connection = await pool.getConnection();
  try {
    return await use(connection);
  } finally {
    await connection.release();
  }
}

async function round(number, turn, counts) {
  const [asked] = await pool.query(sql.ASKED, [turn, "é"]);
  counts.add("parameters", Number(asked.asked) + asked.words.length);
  await sql.failing(pool.query(sql.NOWHERE), counts);
  await taken(async (connection) => {
    await connection.beginTransaction();
    const { insertId } = await connection.query(sql.INSERT, [number, "commit", turn]);
    counts.add("by id", (await connection.query(sql.BY_ID, [insertId]))[0].value);
    await connection.commit();
    await connection.beginTransaction();
    await connection.query(sql.INSERT, [number, "failed", turn]);
    await sql.failing(connection.query(sql.NOWHERE), counts);
    await connection.rollback();
  });
  await taken(async (connection) => {
    const { insertId } = await connection.query(sql.INSERT, [number, "autocommit", turn]);
    const [last] = await connection.query("SELECT LAST_INSERT_ID() AS id");
    counts.add("id told", Number(last.id === insertId));
  });
  const values = Array.from({ length: BATCH }, (_, value) => [number, "batch", value]);
  counts.add("batch rows told", (await pool.batch(sql.INSERT, values)).affectedRows);
  const { insertId } = await pool.query(sql.TYPED, sql.typed(number));
  counts.add(sql.told((await pool.query(sql.TYPED_BACK, [insertId]))[0]), 1);
  await taken(async (connection) => {
    for await (const row of connection.queryStream(sql.BIG_RESULT)) {
      counts.add("big", row.n + row.t.length);
    }
  });
}

async function prepared(number, turn, counts) {
  const [asked] = await pool.execute("SELECT ? + 2 AS n, ? AS words", [turn, "é"]);
  counts.add("prepared", Number(asked.n) + asked.words.length);
  await sql.failing(pool.execute(sql.NOWHERE), counts);
  const { insertId } = await pool.execute(sql.TYPED, sql.typed(number));
  counts.add(`prepared ${sql.told((await pool.execute(sql.TYPED_BACK, [insertId]))[0])}`, 1);
  await taken(async (connection) => {
    const insert = await connection.prepare(sql.INSERT);
    await connection.beginTransaction();
    for (let value = 0; value < BATCH; value++) await insert.execute([number, "prepared", value]);
    await connection.commit();
    insert.close();
  });
}

async function client(number, counts) {
  for (let turn = 0; turn < ROUNDS; turn++) {
    await round(number, turn, counts);
    await prepared(number, turn, counts);
  }
  sql.keep(await pool.query(sql.KEPT, [number]), counts);
}

await run(`MariaDB Connector/Node.js ${version("mariadb")}`, client);
await pool.end();

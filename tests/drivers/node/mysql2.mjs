// mysql2 with its pool: texts, and prepared statements where a query is executed.

import mysql from "mysql2/promise";
import * as sql from "./mysql_work.mjs";
import { BATCH, CLIENTS, ROUNDS, run, version } from "./work.mjs";

const pool = mysql.createPool({ ...sql.WHERE, connectionLimit: CLIENTS });

async function taken(use) {
  const connection = await pool.getConnection();
  try {
    return await use(connection);
  } finally {
    connection.release();
  }
}

async function rows(where, text, values) {
  return (await where.query(text, values))[0];
}

async function round(number, turn, counts) {
  const [asked] = await rows(pool, sql.ASKED, [turn, "é"]);
  counts.add("parameters", asked.asked + asked.words.length);
  await sql.failing(pool.query(sql.NOWHERE), counts);
  await taken(async (connection) => {
    await connection.beginTransaction();
    const { insertId } = await rows(connection, sql.INSERT, [number, "commit", turn]);
    counts.add("by id", (await rows(connection, sql.BY_ID, [insertId]))[0].value);
    await connection.commit();
    await connection.beginTransaction();
    await rows(connection, sql.INSERT, [number, "failed", turn]);
    await sql.failing(connection.query(sql.NOWHERE), counts);
    await connection.rollback();
  });
  await taken(async (connection) => {
    const { insertId } = await rows(connection, sql.INSERT, [number, "autocommit", turn]);
    const [last] = await rows(connection, "SELECT LAST_INSERT_ID() AS id");
    counts.add("id told", Number(last.id === insertId));
  });
  const values = Array.from({ length: BATCH }, (_, value) => [number, "batch", value]);
  const batch = await rows(pool, "INSERT INTO work (client, kind, value) VALUES ?", [values]);
  counts.add("batch rows told", batch.affectedRows);
  const { insertId } = await rows(pool, sql.TYPED, sql.typed(number));
  counts.add(sql.told((await rows(pool, sql.TYPED_BACK, [insertId]))[0]), 1);
  const big = await rows(pool, sql.BIG_RESULT);
  counts.add("big", big.reduce((sum, row) => sum + row.n + row.t.length, 0));
}

async function prepared(number, turn, counts) {
  const [[asked]] = await pool.execute("SELECT ? + 2 AS n, ? AS words", [turn, "é"]);
  counts.add("prepared", Number(asked.n) + asked.words.length);
  await sql.failing(pool.execute(sql.NOWHERE), counts);
  const [{ insertId }] = await pool.execute(sql.TYPED, sql.typed(number));
  counts.add(`prepared ${sql.told((await pool.execute(sql.TYPED_BACK, [insertId]))[0][0])}`, 1);
  await taken(async (connection) => {
    await connection.beginTransaction();
    for (let value = 0; value < BATCH; value++) {
      await connection.execute(sql.INSERT, [number, "prepared", value]);
    }
    await connection.commit();
    // Another text for each client.
    const [[own]] = await connection.execute(`SELECT ${number} + ? AS n`, [turn]);
    counts.add("own text", Number(own.n));
  });
}

async function client(number, counts) {
  for (let turn = 0; turn < ROUNDS; turn++) {
    await round(number, turn, counts);
    await prepared(number, turn, counts);
  }
  sql.keep(await rows(pool, sql.KEPT, [number]), counts);
}

await run(`mysql2 ${version("mysql2")}`, client);
await pool.end();

// TypeORM, which has node-postgres below it.

import "reflect-metadata";
import { DataSource, EntitySchema } from "typeorm";
import { BATCH, BIG, CLIENTS, KEPT, ROUNDS, run, version } from "./work.mjs";

const Work = new EntitySchema({
  name: "work",
  columns: {
    id: { type: "bigint", primary: true, generated: "identity" },
    client: { type: "int" },
    kind: { type: "text" },
    value: { type: "int" },
  },
});
const source = new DataSource({
  type: "postgres",
  url: process.env.DATABASE_URL,
  entities: [Work],
  poolSize: CLIENTS,
});

async function failing(manager, counts) {
  try {
    await manager.query("SELECT 1 / $1::int", [0]);
  } catch (error) {
    if (error.code !== "22012") throw error;
    counts.add(`error ${error.code}`, 1);
  }
}

async function client(number, counts) {
  const works = source.getRepository(Work);
  for (let turn = 0; turn < ROUNDS; turn++) {
    const [asked] = await source.query("SELECT $1::int + 1 AS n, $2::text AS t", [turn, "é"]);
    counts.add("parameters", asked.n + asked.t.length);
    await failing(source, counts);
    await source.transaction(async (manager) => {
      await manager.insert(Work, { client: number, kind: "commit", value: turn });
    });
    await source
      .transaction(async (manager) => {
        await manager.save(Work, { client: number, kind: "failed", value: turn });
        await failing(manager, counts);
        throw new Error("undone");
      })
      .catch((error) => counts.add(error.message, 1));
    await works.save(
      Array.from({ length: BATCH }, (_, value) => ({ client: number, kind: "batch", value })),
    );
    const found = await works.find({ where: { client: number, kind: "batch", value: 1 } });
    counts.add("found", found.length);
    await works.update({ client: number, kind: "batch", value: 0 }, { value: -1 });
    const big = "SELECT n, repeat('x', 100) AS t FROM generate_series(1, $1) AS n";
    const rows = await source.query(big, [BIG]);
    counts.add("big", rows.reduce((sum, row) => sum + row.n + row.t.length, 0));
  }
  for (const { kind, rows, sum } of await source.query(KEPT, [number])) {
    counts.add(`${kind} rows`, rows);
    counts.add(`${kind} sum`, sum);
  }
}

await source.initialize();
await run(`TypeORM ${version("typeorm")}`, client);
await source.destroy();

// TypeORM, which has mysql2 below it.

import "reflect-metadata";
import { DataSource, EntitySchema } from "typeorm";
import * as sql from "./mysql_work.mjs";
import { BATCH, CLIENTS, ROUNDS, run, version } from "./work.mjs";

const Work = new EntitySchema({
  name: "work",
  columns: {
    id: { type: "bigint", primary: true, generated: "increment" },
    client: { type: "int" },
    kind: { type: "varchar" },
    value: { type: "int" },
  },
});
const source = new DataSource({
  type: "mysql",
  url: process.env.DATABASE_URL,
  entities: [Work],
  poolSize: CLIENTS,
});

async function client(number, counts) {
  const works = source.getRepository(Work);
  for (let turn = 0; turn < ROUNDS; turn++) {
    const [asked] = await source.query(sql.ASKED, [turn, "é"]);
    counts.add("parameters", asked.asked + asked.words.length);
    await sql.failing(source.query(sql.NOWHERE), counts);
    await source.transaction(async (manager) => {
      await manager.insert(Work, { client: number, kind: "commit", value: turn });
    });
    await source.transaction("SERIALIZABLE", async (manager) => {
      await manager.insert(Work, { client: number, kind: "serializable", value: turn });
    });
    await source
      .transaction(async (manager) => {
        await manager.save(Work, { client: number, kind: "failed", value: turn });
        await sql.failing(manager.query(sql.NOWHERE), counts);
        throw new Error("undone");
      })
      .catch((error) => counts.add(error.message, 1));
    await works.save(
      Array.from({ length: BATCH }, (_, value) => ({ client: number, kind: "batch", value })),
    );
    const found = await works.find({ where: { client: number, kind: "batch", value: 1 } });
    counts.add("found", found.length);
    await works.update({ client: number, kind: "batch", value: 0 }, { value: -1 });
    const { insertId } = await source.query(sql.TYPED, sql.typed(number));
    counts.add(sql.told((await source.query(sql.TYPED_BACK, [insertId]))[0]), 1);
    const rows = await source.query(sql.BIG_RESULT);
    counts.add("big", rows.reduce((sum, row) => sum + row.n + row.t.length, 0));
  }
  sql.keep(await source.query(sql.KEPT, [number]), counts);
}

await source.initialize();
await run(`TypeORM ${version("typeorm")} (mysql2)`, client);
await source.destroy();

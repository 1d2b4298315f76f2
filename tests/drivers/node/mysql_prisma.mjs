// Prisma, which has MariaDB's connector below its adapter and no engine beside it.

import { PrismaMariaDb } from "@prisma/adapter-mariadb";
import * as sql from "./mysql_work.mjs";
import { PrismaClient } from "./prisma-client-mysql/index.js";
import { BATCH, CLIENTS, ROUNDS, run, version } from "./work.mjs";

const prisma = new PrismaClient({
  adapter: new PrismaMariaDb({ ...sql.WHERE, connectionLimit: CLIENTS }),
  // As long as the proxy lets a client wait. Its defaults are for machines with nothing else to do.
  transactionOptions: { maxWait: 10_000, timeout: 10_000 },
});

async function failing(prisma, counts) {
  try {
    await prisma.$queryRawUnsafe(sql.NOWHERE);
  } catch (error) {
    const code = error.meta?.driverAdapterError?.cause?.originalCode;
    if (code !== "1146") throw error;
    counts.add(`error ${code}`, 1);
    return;
  }
  throw new Error("nothing failed");
}

async function client(number, counts) {
  const made = (kind, value) => ({ data: { client: number, kind, value } });
  for (let turn = 0; turn < ROUNDS; turn++) {
    const [asked] = await prisma.$queryRawUnsafe(sql.ASKED, turn, "é");
    counts.add("parameters", Number(asked.asked) + asked.words.length);
    await failing(prisma, counts);
    await prisma.$transaction((inner) => inner.work.create(made("commit", turn)));
    await prisma
      .$transaction(async (inner) => {
        await inner.work.create(made("failed", turn));
        await failing(inner, counts);
        throw new Error("undone");
      })
      .catch((error) => counts.add(error.message, 1));
    const batch = Array.from({ length: BATCH }, (_, value) => made("batch", value));
    await prisma.$transaction(batch.map((one) => prisma.work.create(one)));
    await prisma.work.createMany({ data: batch.map((one) => one.data) });
    const found = await prisma.work.findMany({ where: { client: number, kind: "batch", value: 1 } });
    counts.add("found", found.length);
    await prisma.work.updateMany({ where: { client: number, kind: "batch", value: 0 }, data: { value: -1 } });
    const rows = await prisma.$queryRawUnsafe(sql.BIG_RESULT);
    counts.add("big", rows.reduce((sum, row) => sum + row.n + row.t.length, 0));
  }
  sql.keep(await prisma.$queryRawUnsafe(sql.KEPT, number), counts);
}

await run(`Prisma ${version("prisma")} (mariadb)`, client);
await prisma.$disconnect();

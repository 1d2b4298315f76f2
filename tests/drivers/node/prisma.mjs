// Prisma, which has node-postgres below its adapter and no engine beside it.

import { PrismaPg } from "@prisma/adapter-pg";
import { PrismaClient } from "./prisma-client/index.js";
import { BATCH, BIG, CLIENTS, KEPT, ROUNDS, run, version } from "./work.mjs";

const prisma = new PrismaClient({
  adapter: new PrismaPg({ connectionString: process.env.DATABASE_URL, max: CLIENTS }),
  // As long as the proxy lets a client wait. Its defaults are for machines with nothing else to do.
  transactionOptions: { maxWait: 10_000, timeout: 10_000 },
});

async function failing(prisma, counts) {
  try {
    await prisma.$queryRaw`SELECT 1 / ${0}::int`;
  } catch (error) {
    const code = error.meta?.driverAdapterError?.cause?.originalCode;
    if (code !== "22012") throw error;
    counts.add(`error ${code}`, 1);
  }
}

async function client(number, counts) {
  const made = (kind, value) => ({ data: { client: number, kind, value } });
  for (let turn = 0; turn < ROUNDS; turn++) {
    const [asked] = await prisma.$queryRaw`SELECT ${turn}::int + 1 AS n, ${"é"}::text AS t`;
    counts.add("parameters", asked.n + asked.t.length);
    await failing(prisma, counts);
    const isolationLevel = "RepeatableRead";
    await prisma.$transaction((inner) => inner.work.create(made("commit", turn)), { isolationLevel });
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
    const rows = await prisma.$queryRaw`
      SELECT n, repeat('x', 100) AS t FROM generate_series(1, ${BIG}::int) AS n`;
    counts.add("big", rows.reduce((sum, row) => sum + row.n + row.t.length, 0));
  }
  for (const { kind, rows, sum } of await prisma.$queryRawUnsafe(KEPT, number)) {
    counts.add(`${kind} rows`, rows);
    counts.add(`${kind} sum`, sum);
  }
}

await run(`Prisma ${version("prisma")}`, client);
await prisma.$disconnect();

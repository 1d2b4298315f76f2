// What the Node programs for MySQL and MariaDB share besides: their SQL, and a row of every type.

export const ASKED = "SELECT ? + 1 AS asked, ? AS words";
export const INSERT = "INSERT INTO work (client, kind, value) VALUES (?, ?, ?)";
export const BY_ID = "SELECT client, kind, value FROM work WHERE id = ?";
export const NOWHERE = "SELECT * FROM nowhere";
export const BIG_RESULT = "SELECT n, repeat('x', 100) AS t FROM numbers ORDER BY n";
export const KEPT = "SELECT kind, count(*) AS row_count, sum(value) AS total FROM work WHERE client = ? GROUP BY kind";
export const TYPED = "INSERT INTO typed (client, nothing, words, amount, moment, big) VALUES (?, ?, ?, ?, ?, ?)";
export const TYPED_BACK = "SELECT nothing, words, amount, moment, big FROM typed WHERE id = ?";
export const WHERE = {
  host: process.env.MYSQL_HOST,
  port: Number(process.env.MYSQL_TCP_PORT),
  user: process.env.MYSQL_USER,
  password: process.env.MYSQL_PWD,
  database: process.env.MYSQL_DATABASE,
};

const LETTERS = "zażółć 🐬 ";
// More than 64 KiB, in more than one byte a letter.
const BIG_TEXT = LETTERS.repeat(6000);

/** A row of every type that isn't a plain number. */
export function typed(number) {
  const moment = new Date(Date.UTC(2026, 0, 1, 12, 30, 0, 123));
  return [number, null, LETTERS, "12345678901234.5678", moment, BIG_TEXT];
}

/** That row as the driver gave it back. */
export function told({ nothing, words, amount, moment, big }) {
  return `${nothing} ${words} ${amount} ${moment.toISOString()} ${big === BIG_TEXT}`;
}

/** The end of a failed query: it counts, anything else ends the client. */
export async function failing(query, counts) {
  try {
    await query;
  } catch (error) {
    counts.add(`error ${error.errno}`, 1);
    return;
  }
  throw new Error("nothing failed");
}

export function keep(rows, counts) {
  for (const { kind, row_count, total } of rows) {
    counts.add(`${kind} rows`, Number(row_count));
    counts.add(`${kind} sum`, Number(total));
  }
}

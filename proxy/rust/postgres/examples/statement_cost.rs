//! Prints what judging some statements costs, a line each: its name, nanoseconds for one that was
//! judged lately, nanoseconds for one that was not.

use dbproxy_postgres::measure::nanoseconds;

const STATEMENTS: [(&str, &str); 3] = [
    ("a select by key", "SELECT abalance FROM pgbench_accounts WHERE aid = $1;"),
    ("an insert of eight columns", "INSERT INTO \"orders\" (\"id\", \"customer_id\", \"state\", \
      \"total\", \"currency\", \"note\", \"created_at\", \"updated_at\") VALUES ($1, $2, $3, $4, $5, $6, $7, $8) \
      RETURNING \"orders\".\"id\""),
    ("a join as an ORM writes it", "SELECT \"orders\".\"id\", \"orders\".\"customer_id\", \
      \"orders\".\"state\", \"orders\".\"total\", \"customers\".\"id\", \"customers\".\"name\", \
      \"customers\".\"email\" FROM \"orders\" INNER JOIN \"customers\" ON (\"orders\".\"customer_id\" = \
      \"customers\".\"id\") WHERE (\"orders\".\"state\" IN ($1, $2) AND \"customers\".\"region\" = $3 AND \
      NOT (\"orders\".\"total\" < $4)) ORDER BY \"orders\".\"created_at\" DESC LIMIT 21 OFFSET 40"),
];

fn main() {
    for (name, text) in STATEMENTS {
        let (remembered, judged) = nanoseconds(text);
        println!("{name}\t{remembered:.1}\t{judged:.1}");
    }
}

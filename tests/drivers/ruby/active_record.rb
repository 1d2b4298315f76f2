# Rails' ActiveRecord with its pool, over ruby-pg.

require "active_record"
require_relative "work"

ActiveRecord::Base.establish_connection(
  adapter: "postgresql", host: ENV["PGHOST"], port: ENV["PGPORT"], database: ENV["PGDATABASE"],
  username: ENV["PGUSER"], password: ENV["PGPASSWORD"], pool: CLIENTS
)

class Work < ActiveRecord::Base
  self.table_name = "work"
end

def fail(counts)
  Work.connection.exec_query("SELECT 1 / $1::int", "SQL", [[nil, 0]])
rescue ActiveRecord::StatementInvalid => e
  raise unless e.cause.is_a?(PG::DivisionByZero)

  counts["division by zero"] += 1
end

def round(number, turn, counts)
  asked = "SELECT $1::int + 1 AS n, '2026-01-01 00:00+00'::timestamptz AS t, $2::text AS e"
  row = Work.connection.exec_query(asked, "SQL", [[nil, turn], [nil, "é"]]).first
  counts["parameters"] += row["n"] + row["e"].length
  counts["hours"] += Work.connection.select_value("SELECT extract(hour FROM timestamptz '2026-01-01 00:00+00')").to_i
  fail(counts)
  Work.transaction { Work.create!(client: number, kind: "commit", value: turn) }
  Work.transaction do
    Work.create!(client: number, kind: "failed", value: turn)
    fail(counts)
    raise ActiveRecord::Rollback
  end
  Work.transaction do
    Work.transaction(requires_new: true) do
      Work.create!(client: number, kind: "savepoint", value: turn)
      raise ActiveRecord::Rollback
    end
    Work.create!(client: number, kind: "outer", value: turn)
  end
  Work.insert_all!(Array.new(BATCH) { |value| { client: number, kind: "batch", value: value } })
  counts["found"] += Work.where(client: number, kind: "batch", value: 1).to_a.length
  Work.where(client: number, kind: "batch", value: 0).limit(1).update_all(value: -1)
  Work.connection.exec_query(BIG_RESULT, "SQL", [[nil, BIG]]).each do |big|
    counts["big"] += big["n"] + big["t"].length
  end
end

run("ActiveRecord #{ActiveRecord.version}") do |number, counts|
  ROUNDS.times do |turn|
    Work.connection_pool.with_connection { round(number, turn, counts) }
  end
  kept = Work.where(client: number).group(:kind)
  kept.count.each { |kind, rows| counts["#{kind} rows"] = rows }
  kept.sum(:value).each { |kind, sum| counts["#{kind} sum"] = sum }
end

# Rails' ActiveRecord with its pool, over mysql2.

require "active_record"
require_relative "work"

ActiveRecord::Base.establish_connection(
  adapter: "mysql2", host: ENV["MYSQL_HOST"], port: ENV["MYSQL_TCP_PORT"].to_i, database: ENV["MYSQL_DATABASE"],
  username: ENV["MYSQL_USER"], password: ENV["MYSQL_PWD"], pool: CLIENTS,
  # As `rails new` writes it.
  encoding: "utf8mb4"
)

class Work < ActiveRecord::Base
  self.table_name = "work"
end

class Typed < ActiveRecord::Base
  self.table_name = "typed"
end

LETTERS = "zażółć 🐬 ".freeze
BIG_TEXT = (LETTERS * 6_000).freeze

def fail(counts)
  Work.connection.select_all("SELECT * FROM nowhere")
rescue ActiveRecord::StatementInvalid => e
  counts["error #{e.cause.error_number}"] += 1
end

def typed(number, counts)
  made = Typed.create!(client: number, nothing: nil, words: LETTERS, amount: BigDecimal("12345678901234.5678"),
                       moment: Time.utc(2026, 1, 1, 12, 30, 0, 123_456), big: BIG_TEXT)
  row = Typed.find(made.id)
  moment = row.moment.utc.strftime("%F %T.%6N")
  counts["#{row.nothing.inspect} #{row.words} #{row.amount.to_s("F")} #{moment} #{row.big == BIG_TEXT}"] += 1
end

def round(number, turn, counts)
  row = Work.connection.select_all(Work.sanitize_sql(["SELECT ? + 1 AS asked, ? AS words", turn, "é"])).first
  counts["parameters"] += row["asked"] + row["words"].length
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
  Work.transaction(isolation: :serializable) { Work.create!(client: number, kind: "serializable", value: turn) }
  Work.insert_all!(Array.new(BATCH) { |value| { client: number, kind: "batch", value: value } })
  typed(number, counts)
  counts["found"] += Work.where(client: number, kind: "batch", value: 1).to_a.length
  Work.where(client: number, kind: "batch", value: 0).limit(1).update_all(value: -1)
  Work.connection.select_all("SELECT n, repeat('x', 100) AS t FROM numbers ORDER BY n").each do |big|
    counts["big"] += big["n"] + big["t"].length
  end
end

run("ActiveRecord #{ActiveRecord.version} (mysql2)") do |number, counts|
  ROUNDS.times do |turn|
    Work.connection_pool.with_connection { round(number, turn, counts) }
  end
  kept = Work.where(client: number).group(:kind)
  kept.count.each { |kind, rows| counts["#{kind} rows"] = rows }
  kept.sum(:value).each { |kind, sum| counts["#{kind} sum"] = sum }
end

# mysql2, over MariaDB Connector/C, which has no pool: eight connections.

require "bigdecimal"
require "mysql2"
require_relative "work"

INSERT = "INSERT INTO work (client, kind, value) VALUES (?, ?, ?)".freeze
TYPED = "INSERT INTO typed (client, nothing, words, amount, moment, big) VALUES (?, ?, ?, ?, ?, ?)".freeze
LETTERS = "zażółć 🐬 ".freeze
BIG_TEXT = (LETTERS * 6_000).freeze
WHERE = { host: ENV["MYSQL_HOST"], port: ENV["MYSQL_TCP_PORT"].to_i, database: ENV["MYSQL_DATABASE"],
          username: ENV["MYSQL_USER"], password: ENV["MYSQL_PWD"], encoding: "utf8mb4" }.freeze

def fail(connection, counts)
  connection.query("SELECT * FROM nowhere")
rescue Mysql2::Error => e
  counts["error #{e.error_number}"] += 1
end

def insert(connection, number, kind, value)
  connection.query("INSERT INTO work (client, kind, value) VALUES (#{number}, '#{kind}', #{value})")
  connection.last_id
end

def told(row)
  nothing, words, amount, moment, big = row
  "#{nothing.inspect} #{words} #{amount.to_s("F")} #{moment.strftime("%F %T.%6N")} #{big == BIG_TEXT}"
end

# Texts that the program puts together itself: the driver has no parameters for them.
def texts(connection, number, turn, counts)
  row = connection.query("SELECT #{turn} + 1 AS asked, '#{connection.escape("é'")}' AS words", as: :array).first
  counts["parameters"] += row[0] + row[1].length
  fail(connection, counts)
  connection.query("BEGIN")
  id = insert(connection, number, "commit", turn)
  counts["by id"] += connection.query("SELECT value FROM work WHERE id = #{id}").first["value"]
  connection.query("COMMIT")
  connection.query("BEGIN")
  insert(connection, number, "failed", turn)
  fail(connection, counts)
  connection.query("ROLLBACK")
  id = insert(connection, number, "autocommit", turn)
  counts["id told"] += 1 if connection.query("SELECT LAST_INSERT_ID() AS id").first["id"] == id
  values = Array.new(BATCH) { |value| "(#{number}, 'batch', #{value})" }
  connection.query("INSERT INTO work (client, kind, value) VALUES #{values.join(", ")}")
  counts["batch rows told"] += connection.affected_rows
  big = connection.query("SELECT n, repeat('x', 100) FROM numbers ORDER BY n", as: :array, stream: true, cache_rows: false)
  big.each { |n, text| counts["big"] += n + text.length }
end

def prepared(connection, number, counts)
  moment = Time.utc(2026, 1, 1, 12, 30, 0, 123_456)
  insert = connection.prepare(TYPED)
  insert.execute(number, nil, LETTERS, BigDecimal("12345678901234.5678"), moment, BIG_TEXT)
  back = connection.prepare("SELECT nothing, words, amount, moment, big FROM typed WHERE id = ?")
  counts[told(back.execute(insert.last_id, as: :array).first)] += 1
  many = connection.prepare(INSERT)
  BATCH.times { |value| many.execute(number, "prepared", value) }
  [insert, back, many].each(&:close)
end

connections = Array.new(CLIENTS) { Mysql2::Client.new(WHERE) }
run("mysql2 #{Mysql2::VERSION}") do |number, counts|
  connection = connections[number]
  ROUNDS.times do |turn|
    texts(connection, number, turn, counts)
    prepared(connection, number, counts)
  end
  kept = "SELECT kind, count(*), sum(value) FROM work WHERE client = #{number} GROUP BY kind"
  connection.query(kept, as: :array).each do |kind, rows, sum|
    counts["#{kind} rows"], counts["#{kind} sum"] = rows, sum.to_i
  end
end

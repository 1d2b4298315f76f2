# ruby-pg, which has no pool: eight connections.

require "pg"
require_relative "work"

INSERT = "INSERT INTO work (client, kind, value) VALUES ($1, $2, $3)".freeze

def fail(connection, counts)
  connection.exec_params("SELECT 1 / $1::int", [0])
rescue PG::DivisionByZero => e
  counts["error #{e.result.error_field(PG::Result::PG_DIAG_SQLSTATE)}"] += 1
end

def batch(connection, number)
  connection.enter_pipeline_mode
  BATCH.times { |value| connection.send_query_params(INSERT, [number, "batch", value]) }
  connection.pipeline_sync
  BATCH.times { connection.get_result.check && connection.get_result }
  connection.get_result.check
  connection.exit_pipeline_mode
end

def copy(connection, number, counts)
  connection.copy_data("COPY work (client, kind, value) FROM STDIN") do
    COPIED.times { |value| connection.put_copy_data("#{number}\tcopy\t#{value}\n") }
  end
  connection.copy_data("COPY (SELECT 1 FROM work WHERE client = #{number}) TO STDOUT") do
    counts["copied"] += 1 while connection.get_copy_data
  end
end

def round(connection, number, turn, counts)
  row = connection.exec_params("SELECT $1::int + 1, $2::text", [turn, "é"])[0].values
  counts["parameters"] += row[0] + row[1].length
  counts["prepared"] += connection.exec_prepared("mine", [turn])[0].values[0]
  fail(connection, counts)
  connection.transaction { connection.exec_params(INSERT, [number, "commit", turn]) }
  begin
    connection.transaction do
      connection.exec_params(INSERT, [number, "failed", turn])
      connection.exec_params("SELECT 1 / $1::int", [0])
    end
  rescue PG::DivisionByZero
    counts["undone"] += 1
  end
  batch(connection, number)
  connection.send_query_params(BIG_RESULT, [BIG])
  connection.set_single_row_mode
  connection.get_result.stream_each_row { |n, t| counts["big"] += n + t.length }
  connection.get_result
  copy(connection, number, counts)
end

connections = Array.new(CLIENTS) { PG.connect }
run("ruby-pg #{PG::VERSION}") do |number, counts|
  connection = connections[number]
  connection.type_map_for_results = PG::BasicTypeMapForResults.new(connection)
  # One name, and another text for each client.
  connection.prepare("mine", "SELECT #{number} + $1::int")
  ROUNDS.times { |turn| round(connection, number, turn, counts) }
  kept = "SELECT kind, count(*), sum(value) FROM work WHERE client = $1 GROUP BY kind"
  connection.exec_params(kept, [number]).each_row do |kind, rows, sum|
    counts["#{kind} rows"], counts["#{kind} sum"] = rows, sum
  end
end

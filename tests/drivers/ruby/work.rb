# What the Ruby programs share; the work and what they print is told in docs/drivers.md.

ROUNDS = Integer(ENV.fetch("ROUNDS"))
CLIENTS = Integer(ENV.fetch("CLIENTS"))
BIG, BATCH, COPIED = 2_000, 10, 50
BIG_RESULT = "SELECT n, repeat('x', 100) AS t FROM generate_series(1, $1::int) AS n"

# Run all clients at once, say what they counted, and stay until the input ends.
def run(driver)
  $stdout.sync = true
  puts "driver #{driver}"
  threads = Array.new(CLIENTS) do |number|
    Thread.new do
      counts = Hash.new(0)
      yield number, counts
      counts.map { |what, count| "#{number} #{what}=#{count}" }
    rescue StandardError => e
      ["failed #{number} #{e.class}: #{e.message.split.join(' ')}"]
    end
  end
  threads.each { |thread| puts thread.value }
  puts "done"
  $stdin.read
end

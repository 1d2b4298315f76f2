import java.util.ArrayList;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;

/** What the Java programs share; the work and what they print is told in docs/drivers.md. */
final class Work {
    static final int ROUNDS = Integer.parseInt(System.getenv("ROUNDS"));
    static final int CLIENTS = Integer.parseInt(System.getenv("CLIENTS"));
    static final int BIG = 2_000, BATCH = 10, COPIED = 50;
    static final String FAIL = "SELECT 1 / ?::int";
    static final String DIVISION = "22012";
    static final String BIG_RESULT = "SELECT n, repeat('x', 100) FROM generate_series(1, ?) AS n";
    static final String KEPT =
            "SELECT kind, count(*), sum(value) FROM work WHERE client = ? GROUP BY kind";

    /** What one client has counted. */
    static final class Counts {
        private final Map<String, Long> found = new TreeMap<>();

        void add(String what, long count) {
            found.merge(what, count, Long::sum);
        }
    }

    interface Client {
        void work(int number, Counts counts) throws Exception;
    }

    static String url() {
        return "jdbc:postgresql://%s:%s/%s".formatted(
                System.getenv("PGHOST"), System.getenv("PGPORT"), System.getenv("PGDATABASE"));
    }

    /** Run all clients at once, say what they counted, and stay until the input ends. */
    static void run(String driver, Client client) throws Exception {
        System.out.println("driver " + driver);
        ExecutorService threads = Executors.newFixedThreadPool(CLIENTS);
        var running = new ArrayList<Future<Counts>>();
        for (int number = 0; number < CLIENTS; number++) {
            int mine = number;
            Callable<Counts> work = () -> {
                Counts counts = new Counts();
                client.work(mine, counts);
                return counts;
            };
            running.add(threads.submit(work));
        }
        for (int number = 0; number < CLIENTS; number++) {
            try {
                for (Map.Entry<String, Long> count : running.get(number).get().found.entrySet()) {
                    System.out.println(number + " " + count.getKey() + "=" + count.getValue());
                }
            } catch (ExecutionException error) {
                String told = error.getCause().toString().replaceAll("\\s+", " ");
                System.out.println("failed " + number + " " + told);
            }
        }
        threads.shutdown();
        System.out.println("done");
        System.in.readAllBytes();
    }
}

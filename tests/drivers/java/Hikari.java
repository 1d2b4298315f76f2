import com.zaxxer.hikari.HikariConfig;
import com.zaxxer.hikari.HikariDataSource;
import java.io.StringReader;
import java.io.StringWriter;
import java.sql.Connection;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.SQLException;
import javax.sql.DataSource;
import org.postgresql.PGConnection;
import org.postgresql.copy.CopyManager;
import org.postgresql.util.DriverInfo;

/** pgjdbc with the pool HikariCP. */
final class Hikari {
    static final String INSERT = "INSERT INTO work (client, kind, value) VALUES (?, ?, ?)";

    public static void main(String[] arguments) throws Exception {
        HikariConfig config = new HikariConfig();
        config.setJdbcUrl(Work.url());
        config.setUsername(System.getenv("PGUSER"));
        config.setPassword(System.getenv("PGPASSWORD"));
        try (HikariDataSource pool = new HikariDataSource(config)) {
            Work.run("pgjdbc " + DriverInfo.DRIVER_VERSION + ", HikariCP", (number, counts) -> {
                for (int turn = 0; turn < Work.ROUNDS; turn++) {
                    round(pool, number, turn, counts);
                }
                kept(pool, number, counts);
            });
        }
    }

    static void round(DataSource pool, int number, int turn, Work.Counts counts) throws Exception {
        try (Connection connection = pool.getConnection();
                var asked = connection.prepareStatement("SELECT ?::int + 1, ?::text")) {
            asked.setInt(1, turn);
            asked.setString(2, "é");
            ResultSet row = asked.executeQuery();
            row.next();
            counts.add("parameters", row.getInt(1) + row.getString(2).length());
            fail(connection, counts);
        }
        try (Connection connection = pool.getConnection()) {
            connection.setAutoCommit(false);
            insert(connection, number, "commit", turn);
            connection.commit();
            insert(connection, number, "failed", turn);
            fail(connection, counts);
            connection.rollback();
            // Left open: the pool rolls it back.
            insert(connection, number, "left", turn);
        }
        try (Connection connection = pool.getConnection()) {
            connection.setTransactionIsolation(Connection.TRANSACTION_SERIALIZABLE);
            connection.setReadOnly(true);
            connection.setAutoCommit(false);
            var asked = connection.createStatement().executeQuery("SHOW transaction_isolation");
            asked.next();
            counts.add(asked.getString(1), 1);
            connection.commit();
        }
        try (Connection connection = pool.getConnection();
                var insert = connection.prepareStatement(INSERT)) {
            for (int value = 0; value < Work.BATCH; value++) {
                set(insert, number, "batch", value);
                insert.addBatch();
            }
            insert.executeBatch();
        }
        big(pool, counts);
        copy(pool, number, counts);
    }

    static void set(PreparedStatement insert, int number, String kind, int value)
            throws SQLException {
        insert.setInt(1, number);
        insert.setString(2, kind);
        insert.setInt(3, value);
    }

    static void insert(Connection connection, int number, String kind, int value)
            throws SQLException {
        try (var insert = connection.prepareStatement(INSERT)) {
            set(insert, number, kind, value);
            insert.executeUpdate();
        }
    }

    static void fail(Connection connection, Work.Counts counts) throws SQLException {
        try (var failing = connection.prepareStatement(Work.FAIL)) {
            failing.setInt(1, 0);
            failing.executeQuery();
        } catch (SQLException error) {
            if (!error.getSQLState().equals(Work.DIVISION)) {
                throw error;
            }
            counts.add("error " + error.getSQLState(), 1);
        }
    }

    /** By a portal of which a part is fetched at a time. */
    static void big(DataSource pool, Work.Counts counts) throws SQLException {
        try (Connection connection = pool.getConnection()) {
            connection.setAutoCommit(false);
            try (var asked = connection.prepareStatement(Work.BIG_RESULT)) {
                asked.setFetchSize(500);
                asked.setInt(1, Work.BIG);
                ResultSet rows = asked.executeQuery();
                while (rows.next()) {
                    counts.add("big", rows.getInt(1) + rows.getString(2).length());
                }
            }
            connection.commit();
        }
    }

    static void copy(DataSource pool, int number, Work.Counts counts) throws Exception {
        try (Connection connection = pool.getConnection()) {
            CopyManager copy = connection.unwrap(PGConnection.class).getCopyAPI();
            StringBuilder rows = new StringBuilder();
            for (int value = 0; value < Work.COPIED; value++) {
                rows.append(number).append("\tcopy\t").append(value).append('\n');
            }
            var in = new StringReader(rows.toString());
            counts.add("copied", copy.copyIn("COPY work (client, kind, value) FROM STDIN", in));
            String mine = "COPY (SELECT 1 FROM work WHERE client = " + number + ") TO STDOUT";
            counts.add("copied out", copy.copyOut(mine, new StringWriter()));
        }
    }

    static void kept(DataSource pool, int number, Work.Counts counts) throws SQLException {
        try (Connection connection = pool.getConnection();
                var asked = connection.prepareStatement(Work.KEPT)) {
            asked.setInt(1, number);
            ResultSet rows = asked.executeQuery();
            while (rows.next()) {
                counts.add(rows.getString(1) + " rows", rows.getLong(2));
                counts.add(rows.getString(1) + " sum", rows.getLong(3));
            }
        }
    }
}

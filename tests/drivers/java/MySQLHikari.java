import com.zaxxer.hikari.HikariConfig;
import com.zaxxer.hikari.HikariDataSource;
import java.sql.Connection;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Statement;
import javax.sql.DataSource;

/** Connector/J, or MariaDB's, with the pool HikariCP; its first word is `mysql` or `mariadb`. */
final class MySQLHikari {
    public static void main(String[] arguments) throws Exception {
        HikariConfig config = new HikariConfig();
        config.setJdbcUrl(MySQLWork.url(arguments[0]));
        config.setUsername(System.getenv("MYSQL_USER"));
        config.setPassword(System.getenv("MYSQL_PWD"));
        try (HikariDataSource pool = new HikariDataSource(config)) {
            Work.run(name(pool), (number, counts) -> {
                for (int turn = 0; turn < Work.ROUNDS; turn++) {
                    round(pool, number, turn, counts);
                }
                kept(pool, number, counts);
            });
        }
    }

    static String name(DataSource pool) throws SQLException {
        try (Connection connection = pool.getConnection()) {
            var about = connection.getMetaData();
            String version = about.getDriverVersion().replaceFirst(" .*", "").replaceFirst("^.*-j-", "");
            return about.getDriverName() + " " + version + ", HikariCP";
        }
    }

    static void round(DataSource pool, int number, int turn, Work.Counts counts) throws Exception {
        try (Connection connection = pool.getConnection();
                var asked = connection.prepareStatement(MySQLWork.ASKED)) {
            asked.setInt(1, turn);
            asked.setString(2, "é");
            ResultSet row = asked.executeQuery();
            row.next();
            counts.add("parameters", row.getInt(1) + row.getString(2).length());
            MySQLWork.fail(connection, counts);
        }
        try (Connection connection = pool.getConnection()) {
            connection.setAutoCommit(false);
            long id = insert(connection, number, "commit", turn);
            var found = connection.createStatement()
                    .executeQuery("SELECT value FROM work WHERE id = " + id);
            found.next();
            counts.add("by id", found.getInt(1));
            connection.commit();
            insert(connection, number, "failed", turn);
            MySQLWork.fail(connection, counts);
            connection.rollback();
            var savepoint = connection.setSavepoint();
            insert(connection, number, "undone", turn);
            connection.rollback(savepoint);
            connection.commit();
            // Left open: the pool rolls it back.
            insert(connection, number, "left", turn);
        }
        try (Connection connection = pool.getConnection()) {
            connection.setTransactionIsolation(Connection.TRANSACTION_SERIALIZABLE);
            connection.setReadOnly(true);
            connection.setAutoCommit(false);
            connection.createStatement().executeQuery("SELECT count(*) FROM numbers");
            counts.add("isolation", connection.getTransactionIsolation());
            connection.commit();
        }
        batch(pool, number);
        typed(pool, number, counts);
        big(pool, counts);
    }

    static long insert(Connection connection, int number, String kind, int value)
            throws SQLException {
        var keys = Statement.RETURN_GENERATED_KEYS;
        try (var insert = connection.prepareStatement(MySQLWork.INSERT, keys)) {
            insert.setInt(1, number);
            insert.setString(2, kind);
            insert.setInt(3, value);
            insert.executeUpdate();
            ResultSet made = insert.getGeneratedKeys();
            made.next();
            return made.getLong(1);
        }
    }

    static void batch(DataSource pool, int number) throws SQLException {
        try (Connection connection = pool.getConnection();
                var insert = connection.prepareStatement(MySQLWork.INSERT)) {
            for (int value = 0; value < Work.BATCH; value++) {
                insert.setInt(1, number);
                insert.setString(2, "batch");
                insert.setInt(3, value);
                insert.addBatch();
            }
            insert.executeBatch();
        }
    }

    static void typed(DataSource pool, int number, Work.Counts counts) throws SQLException {
        String text = "INSERT INTO typed (client, nothing, words, amount, moment, big)"
                + " VALUES (?, ?, ?, ?, ?, ?)";
        try (Connection connection = pool.getConnection();
                var insert = connection.prepareStatement(text, Statement.RETURN_GENERATED_KEYS)) {
            MySQLWork.typed(insert, number);
            ResultSet made = insert.getGeneratedKeys();
            made.next();
            var asked = connection.prepareStatement(
                    "SELECT nothing, words, amount, moment, big FROM typed WHERE id = ?");
            asked.setLong(1, made.getLong(1));
            ResultSet row = asked.executeQuery();
            row.next();
            counts.add(MySQLWork.told(row), 1);
            asked.close();
        }
    }

    /** Row by row, as both drivers take this size. */
    static void big(DataSource pool, Work.Counts counts) throws SQLException {
        try (Connection connection = pool.getConnection();
                var asked = connection.createStatement()) {
            asked.setFetchSize(Integer.MIN_VALUE);
            ResultSet rows = asked.executeQuery(MySQLWork.BIG_RESULT);
            while (rows.next()) {
                counts.add("big", rows.getInt(1) + rows.getString(2).length());
            }
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

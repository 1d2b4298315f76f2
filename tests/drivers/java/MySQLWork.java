import java.math.BigDecimal;
import java.sql.Connection;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.time.LocalDateTime;

/** What the Java programs for MySQL and MariaDB share besides: their SQL, and a row of every type. */
final class MySQLWork {
    static final String ASKED = "SELECT ? + 1 AS asked, ? AS words";
    static final String INSERT = "INSERT INTO work (client, kind, value) VALUES (?, ?, ?)";
    static final String NOWHERE = "SELECT * FROM nowhere";
    static final String BIG_RESULT = "SELECT n, repeat('x', 100) FROM numbers ORDER BY n";
    static final String LETTERS = "zażółć 🐬 ";
    // More than 64 KiB, in more than one byte a letter.
    static final String BIG_TEXT = LETTERS.repeat(6_000);
    static final BigDecimal AMOUNT = new BigDecimal("12345678901234.5678");
    static final LocalDateTime MOMENT = LocalDateTime.of(2026, 1, 1, 12, 30, 0, 123_456_000);

    static String url(String driver) {
        return "jdbc:%s://%s:%s/%s".formatted(driver,
                System.getenv("MYSQL_HOST"), System.getenv("MYSQL_TCP_PORT"),
                System.getenv("MYSQL_DATABASE"));
    }

    static void typed(PreparedStatement insert, int number) throws SQLException {
        insert.setInt(1, number);
        insert.setObject(2, null);
        insert.setString(3, LETTERS);
        insert.setBigDecimal(4, AMOUNT);
        insert.setObject(5, MOMENT);
        insert.setString(6, BIG_TEXT);
        insert.executeUpdate();
    }

    /** The row as the driver gave it back. */
    static String told(ResultSet row) throws SQLException {
        return row.getObject(1) + " " + row.getString(2) + " " + row.getBigDecimal(3) + " "
                + row.getObject(4, LocalDateTime.class) + " " + row.getString(5).equals(BIG_TEXT);
    }

    static void fail(Connection connection, Work.Counts counts) throws SQLException {
        try (var failing = connection.prepareStatement(NOWHERE)) {
            failing.executeQuery();
        } catch (SQLException error) {
            if (error.getErrorCode() != 1146) {
                throw error;
            }
            counts.add("error " + error.getErrorCode(), 1);
        }
    }
}

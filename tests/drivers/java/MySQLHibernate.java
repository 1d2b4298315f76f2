import jakarta.persistence.Entity;
import jakarta.persistence.GeneratedValue;
import jakarta.persistence.GenerationType;
import jakarta.persistence.Id;
import jakarta.persistence.Table;
import java.math.BigDecimal;
import java.time.LocalDateTime;
import org.hibernate.Session;
import org.hibernate.SessionFactory;
import org.hibernate.Version;
import org.hibernate.cfg.Configuration;
import org.hibernate.exception.SQLGrammarException;

/** Hibernate over Connector/J, with the pool HikariCP. */
final class MySQLHibernate {
    @Entity(name = "Typed")
    @Table(name = "typed")
    static class Typed {
        @Id
        @GeneratedValue(strategy = GenerationType.IDENTITY)
        Long id;

        int client;
        Integer nothing;
        String words = MySQLWork.LETTERS;
        BigDecimal amount = MySQLWork.AMOUNT;
        LocalDateTime moment = MySQLWork.MOMENT;
        String big = MySQLWork.BIG_TEXT;
    }

    public static void main(String[] arguments) throws Exception {
        Configuration configuration = new Configuration()
                .addAnnotatedClass(HibernateWork.Row.class)
                .addAnnotatedClass(Typed.class)
                .setProperty("hibernate.connection.url", MySQLWork.url(arguments[0]))
                .setProperty("hibernate.connection.username", System.getenv("MYSQL_USER"))
                .setProperty("hibernate.connection.password", System.getenv("MYSQL_PWD"))
                .setProperty("hibernate.hikari.maximumPoolSize", Integer.toString(Work.CLIENTS));
        try (SessionFactory factory = configuration.buildSessionFactory()) {
            Work.run("Hibernate " + Version.getVersionString(), (number, counts) -> {
                for (int turn = 0; turn < Work.ROUNDS; turn++) {
                    round(factory, number, turn, counts);
                }
                HibernateWork.kept(factory, number, counts);
            });
        }
    }

    static void round(SessionFactory factory, int number, int turn, Work.Counts counts) {
        factory.inSession(session -> {
            String text = MySQLWork.ASKED.replaceFirst("\\?", "?1").replaceFirst("\\? ", "?2 ");
            Object[] row = session.createNativeQuery(text, Object[].class)
                    .setParameter(1, turn).setParameter(2, "é").getSingleResult();
            counts.add("parameters", ((Number) row[0]).intValue() + ((String) row[1]).length());
            fail(session, counts);
        });
        factory.inTransaction(
                session -> session.persist(new HibernateWork.Row(number, "commit", turn)));
        try (Session session = factory.openSession()) {
            var transaction = session.beginTransaction();
            session.persist(new HibernateWork.Row(number, "failed", turn));
            fail(session, counts);
            transaction.rollback();
        }
        factory.inTransaction(session -> {
            for (int value = 0; value < Work.BATCH; value++) {
                session.persist(new HibernateWork.Row(number, "batch", value));
            }
        });
        Typed made = new Typed();
        made.client = number;
        factory.inTransaction(session -> session.persist(made));
        factory.inTransaction(session -> {
            Typed row = session.find(Typed.class, made.id);
            counts.add(row.nothing + row.words + row.amount + " " + row.moment
                    + row.big.equals(MySQLWork.BIG_TEXT), 1);
        });
        factory.inTransaction(session -> {
            var mine = session.createSelectionQuery(
                            "from Row where client = ?1 and kind = 'batch' order by id",
                            HibernateWork.Row.class)
                    .setParameter(1, number).setMaxResults(Work.BATCH).getResultList();
            mine.get(0).value += 1;
            counts.add("found", mine.size());
        });
        factory.inTransaction(session -> {
            var asked = session.createNativeQuery(MySQLWork.BIG_RESULT, Object[].class);
            try (var rows = asked.setFetchSize(Integer.MIN_VALUE).stream()) {
                rows.forEach(row -> counts.add("big", (Integer) row[0] + ((String) row[1]).length()));
            }
        });
    }

    static void fail(Session session, Work.Counts counts) {
        try {
            session.createNativeQuery(MySQLWork.NOWHERE, Object[].class).getResultList();
        } catch (SQLGrammarException error) {
            counts.add("error " + error.getErrorCode(), 1);
        }
    }
}

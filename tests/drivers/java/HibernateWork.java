import jakarta.persistence.Entity;
import jakarta.persistence.GeneratedValue;
import jakarta.persistence.GenerationType;
import jakarta.persistence.Id;
import jakarta.persistence.Table;
import org.hibernate.Session;
import org.hibernate.SessionFactory;
import org.hibernate.Version;
import org.hibernate.cfg.Configuration;
import org.hibernate.exception.DataException;

/** Hibernate over pgjdbc, with the pool HikariCP. */
final class HibernateWork {
    @Entity(name = "Row")
    @Table(name = "work")
    static class Row {
        @Id
        @GeneratedValue(strategy = GenerationType.IDENTITY)
        Long id;

        int client;
        String kind;
        int value;

        Row() {}

        Row(int client, String kind, int value) {
            this.client = client;
            this.kind = kind;
            this.value = value;
        }
    }

    public static void main(String[] arguments) throws Exception {
        Configuration configuration = new Configuration()
                .addAnnotatedClass(Row.class)
                .setProperty("hibernate.connection.url", Work.url())
                .setProperty("hibernate.connection.username", System.getenv("PGUSER"))
                .setProperty("hibernate.connection.password", System.getenv("PGPASSWORD"))
                .setProperty("hibernate.hikari.maximumPoolSize", Integer.toString(Work.CLIENTS));
        try (SessionFactory factory = configuration.buildSessionFactory()) {
            Work.run("Hibernate " + Version.getVersionString(), (number, counts) -> {
                for (int turn = 0; turn < Work.ROUNDS; turn++) {
                    round(factory, number, turn, counts);
                }
                kept(factory, number, counts);
            });
        }
    }

    static void round(SessionFactory factory, int number, int turn, Work.Counts counts) {
        factory.inSession(session -> {
            Object[] row = session.createNativeQuery("SELECT ?1 + 1, ?2", Object[].class)
                    .setParameter(1, turn).setParameter(2, "é").getSingleResult();
            counts.add("parameters", (Integer) row[0] + ((String) row[1]).length());
            fail(session, counts);
        });
        factory.inTransaction(session -> session.persist(new Row(number, "commit", turn)));
        try (Session session = factory.openSession()) {
            var transaction = session.beginTransaction();
            session.persist(new Row(number, "failed", turn));
            fail(session, counts);
            transaction.rollback();
        }
        factory.inTransaction(session -> {
            for (int value = 0; value < Work.BATCH; value++) {
                session.persist(new Row(number, "batch", value));
            }
        });
        factory.inTransaction(session -> {
            var mine = session.createSelectionQuery(
                            "from Row where client = ?1 and kind = 'batch' order by id", Row.class)
                    .setParameter(1, number).setMaxResults(Work.BATCH).getResultList();
            mine.get(0).value += 1;
            counts.add("found", mine.size());
        });
        factory.inTransaction(session -> {
            var asked = session.createNativeQuery(Work.BIG_RESULT.replace("?", "?1"), Object[].class);
            try (var rows = asked.setParameter(1, Work.BIG).setFetchSize(500).stream()) {
                rows.forEach(row -> counts.add("big", (Integer) row[0] + ((String) row[1]).length()));
            }
        });
    }

    static void fail(Session session, Work.Counts counts) {
        try {
            session.createNativeQuery("SELECT 1 / ?1", Integer.class).setParameter(1, 0).getSingleResult();
        } catch (DataException error) {
            counts.add("error " + error.getSQLState(), 1);
        }
    }

    static void kept(SessionFactory factory, int number, Work.Counts counts) {
        factory.inSession(session -> {
            var asked = session.createNativeQuery(Work.KEPT.replace("?", "?1"), Object[].class);
            for (Object[] row : asked.setParameter(1, number).getResultList()) {
                counts.add(row[0] + " rows", ((Number) row[1]).longValue());
                counts.add(row[0] + " sum", ((Number) row[2]).longValue());
            }
        });
    }
}

"""The drivers that are run, each a program beside this file in its language's folder."""

from __future__ import annotations

from dataclasses import dataclass

BERLIN = "Europe/Berlin"


@dataclass(frozen=True)
class Driver:
    """One row of the table."""

    name: str
    language: str
    # File, folder or class, as the language's toolchain calls it.
    program: str
    # The server's; drivers that aren't content with it set their own in each session.
    timezone: str = "UTC"
    # Reasons for which a session may pin on the way, because docs/pinning.md says so.
    pins: frozenset[str] = frozenset()


# Its iterator() declares a cursor WITH HOLD, and closes it.
DJANGO = frozenset({"held_cursor"})
# It has the server look up a setting and set it in one query; all it does is one transaction.
PG_DUMP = frozenset({"session_setting"})

POSTGRESQL_DRIVERS = (
    Driver("psql", "postgresql", "psql.sh"),
    Driver("pg_dump", "postgresql", "pg_dump.sh", pins=PG_DUMP),
    Driver("pgbench-simple", "postgresql", "pgbench.sh simple"),
    Driver("pgbench-extended", "postgresql", "pgbench.sh extended"),
    Driver("pgbench-prepared", "postgresql", "pgbench.sh prepared"),
    Driver("psycopg3", "python", "psycopg3.py"),
    Driver("psycopg2", "python", "psycopg2_.py"),
    Driver("pg8000", "python", "pg8000_.py"),
    Driver("asyncpg", "python", "asyncpg_.py"),
    Driver("sqlalchemy-psycopg", "python", "sqlalchemy_psycopg.py"),
    Driver("sqlalchemy-asyncpg", "python", "sqlalchemy_asyncpg.py"),
    Driver("django", "python", "django_.py", pins=DJANGO),
    Driver("django-berlin", "python", "django_.py", timezone=BERLIN, pins=DJANGO),
    Driver("node-postgres", "node", "pg.mjs"),
    Driver("postgres.js", "node", "postgres_js.mjs"),
    Driver("typeorm", "node", "typeorm.mjs"),
    Driver("prisma", "node", "prisma.mjs"),
    Driver("pgx", "go", "pgx"),
    Driver("lib-pq", "go", "pq"),
    Driver("tokio-postgres", "rust", "tokio_postgres"),
    Driver("sqlx", "rust", "sqlx"),
    Driver("pgjdbc-hikaricp", "java", "Hikari"),
    Driver("hibernate", "java", "HibernateWork"),
    Driver("ruby-pg", "ruby", "pg.rb"),
    Driver("activerecord", "ruby", "active_record.rb"),
    Driver("activerecord-berlin", "ruby", "active_record.rb", timezone=BERLIN),
    Driver("pdo", "php", "pdo.php"),
    Driver("dbd-pg", "perl", "dbd_pg.pl"),
)

# Of MySQL and of MariaDB.
MYSQL_DRIVERS = (
    Driver("mariadb", "mysql", "client.sh mariadb"),
    Driver("mariadb-dump", "mysql", "dump.sh mariadb-dump"),
    Driver("pymysql", "python", "pymysql_.py"),
    Driver("aiomysql", "python", "aiomysql_.py"),
    Driver("asyncmy", "python", "asyncmy_.py"),
    Driver("mysqlclient", "python", "mysqlclient_.py"),
    Driver("connector-python", "python", "connector_.py"),
    Driver("sqlalchemy", "python", "mysql_sqlalchemy.py"),
    Driver("django", "python", "mysql_django.py"),
    Driver("mysql2", "node", "mysql2.mjs"),
    Driver("mariadb-node", "node", "mariadb.mjs"),
    Driver("typeorm", "node", "mysql_typeorm.mjs"),
    Driver("prisma", "node", "mysql_prisma.mjs"),
    Driver("go-sql-driver", "go", "sqldriver"),
    Driver("gorm", "go", "gorm"),
    Driver("connector-j-hikaricp", "java", "MySQLHikari mysql"),
    Driver("mariadb-java-hikaricp", "java", "MySQLHikari mariadb"),
    Driver("hibernate", "java", "MySQLHibernate mysql"),
    Driver("ruby-mysql2", "ruby", "mysql2.rb"),
    Driver("activerecord", "ruby", "mysql_active_record.rb"),
    Driver("pdo", "php", "pdo_mysql.php"),
    Driver("dbd-mysql", "perl", "dbd_mysql.pl mysql"),
    Driver("dbd-mariadb", "perl", "dbd_mysql.pl MariaDB"),
)

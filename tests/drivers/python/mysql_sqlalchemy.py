"""SQLAlchemy's ORM and core over PyMySQL, with its pool."""

import datetime as dt
from decimal import Decimal

import mysql_work as sql
import sqlalchemy as sa
from sqlalchemy.dialects import mysql
from sqlalchemy.exc import ProgrammingError
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column
from work import BATCH, CLIENTS, ROUNDS, Counts, in_threads


class Base(DeclarativeBase):
    pass


class Work(Base):
    __tablename__ = "work"
    id: Mapped[int] = mapped_column(primary_key=True)
    client: Mapped[int]
    kind: Mapped[str]
    value: Mapped[int]


class Typed(Base):
    __tablename__ = "typed"
    id: Mapped[int] = mapped_column(primary_key=True)
    client: Mapped[int]
    nothing: Mapped[int | None]
    words: Mapped[str]
    amount: Mapped[Decimal]
    moment: Mapped[dt.datetime] = mapped_column(mysql.DATETIME(fsp=6))
    big: Mapped[str]


def client(number: int, counts: Counts) -> None:
    for turn in range(ROUNDS):
        with engine.connect() as connection:
            asked = sa.text("SELECT :number + 1 AS asked, :text AS words")
            row = connection.execute(asked, {"number": turn, "text": "é"}).one()
            counts["parameters"] += row[0] + len(row[1])
            try:
                connection.execute(sa.text(sql.NOWHERE))
            except ProgrammingError as error:
                counts[f"error {error.orig.args[0]}"] += 1
            connection.rollback()
            counts["went on"] += connection.scalar(sa.text("SELECT 1"))
        with Session(engine) as session:
            session.add(Work(client=number, kind="commit", value=turn))
            session.commit()
            session.add(Work(client=number, kind="rollback", value=turn))
            session.flush()
            session.rollback()
        with Session(engine) as session, session.begin():
            session.add_all(Work(client=number, kind="batch", value=n) for n in range(BATCH))
        with Session(engine) as session, session.begin():
            names = ("client", "nothing", "words", "amount", "moment", "big")
            row = Typed(**dict(zip(names, sql.typed(number, turn), strict=True)))
            session.add(row)
            session.flush()
            session.refresh(row)
            counts[sql.told(tuple(getattr(row, name) for name in names[1:]))] += 1
        with Session(engine) as session:
            mine = sa.select(Work).where(Work.client == number, Work.kind == "batch")
            found = session.scalars(mine.order_by(Work.id).limit(BATCH)).all()
            counts["found"] += sum(work.value for work in found)
            found[0].value += 1
            with session.begin_nested():
                session.add(Work(client=number, kind="nested", value=turn))
            session.commit()
        with engine.connect() as connection:
            level = connection.execution_options(isolation_level="SERIALIZABLE")
            counts["serializable"] += level.scalar(sa.text("SELECT count(*) > 0 FROM work"))
        with engine.connect() as connection:
            options = connection.execution_options(yield_per=500)
            counts["big"] += sum(
                n + len(text) for n, text in options.execute(sa.text(sql.BIG_RESULT))
            )
    with Session(engine) as session:
        kept = sa.select(Work.kind, sa.func.count(), sa.func.sum(Work.value))
        mine = kept.where(Work.client == number).group_by(Work.kind)
        for kind, rows, total in session.execute(mine):
            counts[f"{kind} rows"], counts[f"{kind} sum"] = rows, int(total)


url = sa.URL.create("mysql+pymysql", sql.USER, sql.PASSWORD, sql.HOST, sql.PORT, sql.DATABASE)
engine = sa.create_engine(url, pool_size=CLIENTS)
in_threads(f"SQLAlchemy {sa.__version__} (PyMySQL)", client)
engine.dispose()

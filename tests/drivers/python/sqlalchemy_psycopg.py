"""SQLAlchemy's ORM and core over psycopg, with its pool."""

import os

import sqlalchemy as sa
from sqlalchemy.exc import DataError
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column
from work import BATCH, BIG, CLIENTS, ROUNDS, Counts, in_threads


class Base(DeclarativeBase):
    pass


class Work(Base):
    __tablename__ = "work"
    id: Mapped[int] = mapped_column(primary_key=True)
    client: Mapped[int]
    kind: Mapped[str]
    value: Mapped[int]


def client(number: int, counts: Counts) -> None:
    for turn in range(ROUNDS):
        with engine.connect() as connection:
            parameters = {"number": turn, "text": "é"}
            asked = sa.text("SELECT CAST(:number AS int) + 1, CAST(:text AS text)")
            row = connection.execute(asked, parameters).one()
            counts["parameters"] += row[0] + len(row[1])
        with engine.connect() as connection:
            try:
                connection.execute(sa.text("SELECT 1 / CAST(:zero AS int)"), {"zero": 0})
            except DataError as error:
                counts[f"error {error.orig.sqlstate}"] += 1
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
        with engine.begin() as connection:
            rows = [{"client": number, "kind": "many", "value": n} for n in range(BATCH)]
            connection.execute(sa.insert(Work), rows)
        with Session(engine) as session:
            mine = sa.select(Work).where(Work.client == number, Work.kind == "batch")
            found = session.scalars(mine.order_by(Work.id).limit(BATCH)).all()
            counts["found"] += sum(work.value for work in found)
            found[0].value += 1
            session.commit()
        with engine.connect() as connection:
            big = sa.text("SELECT n, repeat('x', 100) FROM generate_series(1, :big) AS n")
            streamed = connection.execution_options(yield_per=500).execute(big, {"big": BIG})
            counts["big"] += sum(n + len(text) for n, text in streamed)
    with Session(engine) as session:
        kept = sa.select(Work.kind, sa.func.count(), sa.func.sum(Work.value))
        for kind, rows, total in session.execute(
            kept.where(Work.client == number).group_by(Work.kind)
        ):
            counts[f"{kind} rows"], counts[f"{kind} sum"] = rows, int(total)


url = os.environ["DATABASE_URL"].replace("postgres://", "postgresql+psycopg://")
engine = sa.create_engine(url, pool_size=CLIENTS)
in_threads(f"SQLAlchemy {sa.__version__} (psycopg)", client)
engine.dispose()

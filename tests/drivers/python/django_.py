"""Django's ORM over psycopg 3: one connection for each request, as its default is."""

import os
from datetime import UTC, datetime

import django
from django.conf import settings
from work import BATCH, BIG, ROUNDS, Counts, in_threads

names = {"NAME": "PGDATABASE", "USER": "PGUSER", "PASSWORD": "PGPASSWORD", "HOST": "PGHOST"}
database = {key: os.environ[name] for key, name in (names | {"PORT": "PGPORT"}).items()}
settings.configure(DATABASES={"default": {"ENGINE": "django.db.backends.postgresql"} | database})
django.setup()

from django.db import DataError, connection, models, transaction  # noqa: E402


class Work(models.Model):
    client = models.IntegerField()
    kind = models.TextField()
    value = models.IntegerField()

    class Meta:
        app_label = "drivers"
        db_table = "work"


def request(number: int, turn: int, counts: Counts) -> None:
    with connection.cursor() as cursor:
        asked = (turn, "é", datetime(2026, 1, 1, tzinfo=UTC))
        cursor.execute("SELECT %s::int + 1, %s::text, %s", asked)
        row = cursor.fetchone()
        counts["parameters"] += row[0] + len(row[1])
        counts["hours"] += row[2].hour
        cursor.execute("SELECT extract(hour FROM '2026-01-01 00:00+00'::timestamptz)")
        counts["hours there"] += int(cursor.fetchone()[0])
        try:
            cursor.execute("SELECT 1 / %s::int", (0,))
        except DataError as error:
            counts[f"error {error.__cause__.sqlstate}"] += 1
    with transaction.atomic():
        Work.objects.create(client=number, kind="commit", value=turn)
    with transaction.atomic():
        Work.objects.create(client=number, kind="rollback", value=turn)
        transaction.set_rollback(True)
    with transaction.atomic():
        try:
            with transaction.atomic(), connection.cursor() as cursor:
                cursor.execute("SELECT 1 / %s::int", (0,))
        except DataError as error:
            counts[f"error {error.__cause__.sqlstate}"] += 1
        Work.objects.create(client=number, kind="savepoint", value=turn)
    Work.objects.bulk_create(Work(client=number, kind="batch", value=n) for n in range(BATCH))
    mine = Work.objects.filter(client=number, kind="batch")
    counts["updated"] += mine.filter(value=0).update(value=models.F("value") - 1)
    counts["iterated"] += sum(work.value for work in mine.iterator(chunk_size=20))
    with connection.cursor() as cursor:
        cursor.execute("SELECT n, repeat('x', 100) FROM generate_series(1, %s) AS n", (BIG,))
        counts["big"] += sum(n + len(text) for n, text in cursor)


def client(number: int, counts: Counts) -> None:
    for turn in range(ROUNDS):
        connection.close()
        request(number, turn, counts)
    # The last one stays open, as in the midst of a request.
    kept = Work.objects.filter(client=number).values_list("kind")
    for kind, rows, total in kept.annotate(rows=models.Count("*"), total=models.Sum("value")):
        counts[f"{kind} rows"], counts[f"{kind} sum"] = rows, total


in_threads(f"Django {django.get_version()}", client)

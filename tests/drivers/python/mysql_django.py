"""Django's ORM over mysqlclient: one connection for each request, as its default is."""

import django
import mysql_work as sql
from django.conf import settings
from work import BATCH, ROUNDS, Counts, in_threads

names = {"NAME": sql.DATABASE, "USER": sql.USER, "PASSWORD": sql.PASSWORD, "HOST": sql.HOST}
database = {"ENGINE": "django.db.backends.mysql", "PORT": sql.PORT} | names
settings.configure(DATABASES={"default": database}, USE_TZ=False)
django.setup()

from django.db import ProgrammingError, connection, models, transaction  # noqa: E402


class Work(models.Model):
    client = models.IntegerField()
    kind = models.CharField(max_length=40)
    value = models.IntegerField()

    class Meta:
        app_label = "drivers"
        db_table = "work"


class Typed(models.Model):
    client = models.IntegerField()
    nothing = models.IntegerField(null=True)
    words = models.CharField(max_length=100)
    amount = models.DecimalField(max_digits=20, decimal_places=4)
    moment = models.DateTimeField()
    big = models.TextField()

    class Meta:
        app_label = "drivers"
        db_table = "typed"


def request(number: int, turn: int, counts: Counts) -> None:
    with connection.cursor() as cursor:
        cursor.execute(sql.ASKED, (turn, "é"))
        row = cursor.fetchone()
        counts["parameters"] += row[0] + len(row[1])
        try:
            cursor.execute(sql.NOWHERE)
        except ProgrammingError as error:
            counts[f"error {error.args[0]}"] += 1
    with transaction.atomic():
        Work.objects.create(client=number, kind="commit", value=turn)
    with transaction.atomic():
        Work.objects.create(client=number, kind="rollback", value=turn)
        transaction.set_rollback(True)
    with transaction.atomic():
        try:
            with transaction.atomic(), connection.cursor() as cursor:
                Work.objects.create(client=number, kind="failed", value=turn)
                cursor.execute(sql.NOWHERE)
        except ProgrammingError as error:
            counts[f"error {error.args[0]}"] += 1
        Work.objects.create(client=number, kind="savepoint", value=turn)
    Work.objects.bulk_create(Work(client=number, kind="batch", value=n) for n in range(BATCH))
    names = ("client", "nothing", "words", "amount", "moment", "big")
    row = Typed.objects.create(**dict(zip(names, sql.typed(number, turn), strict=True)))
    row.refresh_from_db()
    counts[sql.told(tuple(getattr(row, name) for name in names[1:]))] += 1
    mine = Work.objects.filter(client=number, kind="batch")
    counts["updated"] += mine.filter(value=0).update(value=models.F("value") - 1)
    counts["iterated"] += sum(work.value for work in mine.iterator(chunk_size=20))
    with connection.cursor() as cursor:
        cursor.execute(sql.BIG_RESULT)
        counts["big"] += sum(n + len(text) for n, text in cursor)


def client(number: int, counts: Counts) -> None:
    for turn in range(ROUNDS):
        connection.close()
        request(number, turn, counts)
    # The last one stays open, as in the midst of a request.
    kept = Work.objects.filter(client=number).values_list("kind")
    for kind, rows, total in kept.annotate(rows=models.Count("*"), total=models.Sum("value")):
        counts[f"{kind} rows"], counts[f"{kind} sum"] = rows, int(total)


in_threads(f"Django {django.get_version()} (mysqlclient)", client)

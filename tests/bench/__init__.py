"""`make bench`: this proxy beside direct PostgreSQL and PgBouncer, in turn, in one run.

The Makefile calls it. `contenders` starts what is measured, `load` puts work on it, `plan` says
what is measured on what, `results` makes medians, ratios, the table and `build/bench.json` of it.

With ENGINE=mysql or mariadb the same before those: `mysql_contenders`, `mysql_run` with the Go
program in `mysql_load/`, and `mysql_plan`, which has this proxy before PostgreSQL take turns too.
"""

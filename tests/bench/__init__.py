"""`make bench`: this proxy beside direct PostgreSQL and PgBouncer, in turn, in one run.

The Makefile calls it. `contenders` starts what is measured, `load` puts work on it, `plan` says
what is measured on what, `results` makes medians, ratios, the table and `build/bench.json` of it.
"""

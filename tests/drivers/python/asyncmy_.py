"""asyncmy with its pool."""

import asyncio
from importlib.metadata import version

import asyncmy
from asyncmy.cursors import SSCursor
from asyncmy.errors import ProgrammingError
from mysql_asyncio import work

asyncio.run(work(f"asyncmy {version('asyncmy')}", asyncmy, ProgrammingError, SSCursor))

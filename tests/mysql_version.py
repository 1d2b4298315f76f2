"""Which server of another version than the usual two is tested, and what that one is set by."""

import os

# By its name in requirements/mysql-versions.txt; it alone is tested then.
OTHER = os.environ.get("MYSQL_SERVER", "")
IS_57 = OTHER.startswith("mysql-5.7")
SHA2 = "mysql_native_password" if IS_57 else "caching_sha2_password"
# Before 8.0.30 it is called otherwise; and some are built for folders that aren't here.
SMALL = "innodb-redo-log-capacity = 8M"
if OTHER:
    SMALL = "innodb-log-file-size = 8M\nsecure-file-priv = NULL"

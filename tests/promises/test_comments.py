"""Whoever looks at a view of ours with psql or a tool is told by its comment, and its columns' comments, what it holds."""

import psycopg
from psycopg.rows import tuple_row

from runfold import Ledger
from runfold.projections.registry import known
from tests.databases import TestDatabase

WITHOUT = """
SELECT n.nspname || '.' || c.relname || coalesce('.' || a.attname, '')
  FROM pg_class AS c
  JOIN pg_namespace AS n ON n.oid = c.relnamespace
  LEFT JOIN LATERAL (SELECT attnum, attname FROM pg_attribute AS a
                      WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
                      UNION ALL
                     SELECT 0, NULL) AS a ON true
 WHERE ((n.nspname IN ('runfold', 'runfold_read') AND c.relkind = 'v') OR (n.nspname = 'past' AND c.relkind = 'r'))
   AND coalesce(nullif(trim(CASE a.attnum WHEN 0 THEN obj_description(c.oid, 'pg_class')
                                          ELSE col_description(c.oid, a.attnum) END), ''), '') = ''
 ORDER BY 1
"""
COUNT = "SELECT count(*) FROM pg_views WHERE schemaname IN ('runfold', 'runfold_read')"


def without(connection: psycopg.Connection[tuple[object, ...]]) -> list[object]:
    """The views, and columns of views, that have no comment."""
    return [name for (name,) in connection.execute(WITHOUT)]


def test_every_view_and_every_column_of_a_view_has_a_comment(ledger: Ledger, database: TestDatabase) -> None:
    ledger.create_thread(agent_id="a")
    ledger.fold()
    ledger.make_schema("past", as_of=1)
    with psycopg.connect(database.admin_url, autocommit=True, row_factory=tuple_row) as connection:
        assert without(connection) == []
        assert (connection.execute(COUNT).fetchone() or (0,))[0] >= len(known()) + 4
        connection.execute("COMMENT ON COLUMN runfold_read.usage.reported_cost IS NULL")
        connection.execute("COMMENT ON COLUMN runfold_read.threads.position IS NULL")
        assert without(connection) == ["runfold_read.threads.position", "runfold_read.usage.reported_cost"]
        ledger.fold()
        assert without(connection) == [], "views that were made before they had comments get them from the next worker"

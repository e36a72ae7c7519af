"""What a database is made of, as text that can be compared."""

from soak.session import session

_SCHEMA = """
SELECT format('%s %s.%s %s %s %s', table_schema, table_name, column_name, data_type,
              is_nullable, column_default)
FROM information_schema.columns WHERE table_schema IN ('public', 'feed')
UNION ALL SELECT format('%s %s', conrelid::regclass, pg_get_constraintdef(oid)) || conname
FROM pg_constraint WHERE connamespace IN ('public'::regnamespace) AND contype <> 't'
UNION ALL SELECT indexdef FROM pg_indexes WHERE schemaname = 'public'
UNION ALL SELECT pg_get_triggerdef(oid) FROM pg_trigger WHERE NOT tgisinternal
UNION ALL SELECT pg_get_functiondef(p.oid)
FROM pg_proc p JOIN pg_namespace n ON n.oid = pronamespace
WHERE nspname = 'feed' OR nspname = 'public' AND NOT EXISTS (
  SELECT FROM pg_depend WHERE objid = p.oid AND deptype = 'e')
UNION ALL SELECT format('%s %s', relname, reloptions) FROM pg_class
WHERE relnamespace = 'public'::regnamespace
UNION ALL SELECT nspname FROM pg_namespace WHERE nspname !~ '^pg_'
ORDER BY 1
"""


async def schema(url: str) -> list[str]:
    """Columns, constraints, indexes, triggers, functions and options; sorted."""
    async with session(url) as db:
        return [row[0] for row in await db.fetch(_SCHEMA)]

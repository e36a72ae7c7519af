-- One stamp for each transaction and tenant: a stamp for each row would cost quadratic time. It
-- is kept in one of 64 settings that end with the transaction, so that ROLLBACK TO SAVEPOINT
-- takes back the setting and the lock of the clock alike.

-- The stamp that this transaction has already issued for the tenant, or NULL.
CREATE FUNCTION feed.issued_stamp(tenant uuid) RETURNS timestamptz LANGUAGE plpgsql VOLATILE
  AS $$
DECLARE
  slot text := current_setting('feed.slot' || (hashtext(tenant::text) & 63), true);
  owner text := pg_current_xact_id()::text || ' ' || tenant::text || ' ';
BEGIN
  IF starts_with(slot, owner) THEN
    RETURN substr(slot, length(owner) + 1)::timestamptz;
  END IF;
  RETURN NULL;
END $$;

-- The transaction's stamp for the tenant. It looks for the one that was issued by itself, and
-- not by feed.issued_stamp, since each row that is written pays for a call.
CREATE FUNCTION feed.stamp(tenant uuid) RETURNS timestamptz LANGUAGE plpgsql VOLATILE
  AS $$
DECLARE
  slot text := 'feed.slot' || (hashtext(tenant::text) & 63);
  owner text := pg_current_xact_id()::text || ' ' || tenant::text || ' ';
  issued text := current_setting(slot, true);
  stamp timestamptz;
BEGIN
  IF starts_with(issued, owner) THEN
    RETURN substr(issued, length(owner) + 1)::timestamptz;
  END IF;
  stamp := feed.tick(tenant);
  PERFORM set_config(
    slot, owner || to_char(stamp AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'), true);
  RETURN stamp;
END $$;

-- Fire the deferred triggers now and return the stamp that they issued, NULL if nothing changed.
-- The clock is held from here on: let the commit follow at once. Whoever holds the clock is about
-- to commit, hence a longer time-out for its lock than that of feed.push for documents.
CREATE FUNCTION feed.flush(tenant uuid) RETURNS timestamptz LANGUAGE plpgsql VOLATILE
  SET lock_timeout = '2s' AS $$
BEGIN
  SET CONSTRAINTS ALL IMMEDIATE;
  RETURN feed.issued_stamp(tenant);
END $$;

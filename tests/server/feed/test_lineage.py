"""Lineages, forks, voids and the opening of feeds, as the database keeps them."""

import asyncio
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import asyncpg
import pytest

from fixtures.raw_tenant import Connect, RawTenant, tenant_in
from fixtures.until import until

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)


async def move(db: asyncpg.Connection, place: str) -> None:
    """From here on every clock of this database ticks in another place."""
    await db.execute(
        "CREATE OR REPLACE FUNCTION feed.place() RETURNS text LANGUAGE sql "
        f"AS $$ SELECT '{place}' $$"
    )


class TestPlace:
    async def test_it_names_cluster_timeline_database_table_and_start(
        self, db: asyncpg.Connection, tenant: RawTenant
    ) -> None:
        cluster, line, database, table, start = (await tenant.clock())["place"].split("/")
        assert int(cluster) == await db.fetchval(
            "SELECT system_identifier FROM pg_control_system()"
        )
        assert int(line, 16) == await db.fetchval(
            "SELECT timeline_id FROM pg_control_checkpoint()"
        )
        assert int(database) == await db.fetchval(
            "SELECT oid FROM pg_database WHERE datname = current_database()"
        )
        assert int(table) == await db.fetchval("SELECT 'tenant_clock'::regclass::oid")
        started = await db.fetchval("SELECT pg_postmaster_start_time()")
        assert timedelta(microseconds=int(start.replace(".", ""))) == started - EPOCH

    async def test_it_is_the_same_in_every_time_zone(self, connect: Connect) -> None:
        places = set()
        for zone in ("UTC", "Asia/Kolkata"):
            session = await connect()
            await session.execute(f"SET timezone = '{zone}'")
            places.add(await session.fetchval("SELECT feed.place()"))
        assert len(places) == 1


class TestForks:
    async def test_in_one_place_there_are_none(self, tenant: RawTenant) -> None:
        before = await tenant.clock()
        await tenant.inserted()
        assert (await tenant.clock())["lineage"] == before["lineage"]
        assert await tenant.forks() == {}

    async def test_every_place_is_a_new_lineage_and_each_fork_is_remembered(
        self, own_db: asyncpg.Connection
    ) -> None:
        """Also when the clock comes back to a place where it was before."""
        tenant = await tenant_in(own_db)
        forks, lineages = {}, []
        for place in ("a", "b", "a", "b"):
            await tenant.inserted()
            clock = await tenant.clock()
            forks[clock["lineage"]] = clock["last"]
            lineages.append(clock["lineage"])
            await move(own_db, place)
        await tenant.inserted()
        now = (await tenant.clock())["lineage"]
        assert len({*lineages, now}) == 5
        assert {len(lineage) for lineage in [*lineages, now]} == {8}
        assert await tenant.forks() == forks

    @pytest.mark.parametrize("verb", ["tick", "void"])
    async def test_a_clock_that_alone_was_put_back_to_before_a_fork_ticks(
        self, own_db: asyncpg.Connection, verb: str
    ) -> None:
        """The fork of its lineage is known already: now it agrees with less."""
        tenant = await tenant_in(own_db)
        await own_db.execute("CREATE TABLE dump AS TABLE tenant_clock")
        before = await tenant.clock()
        await tenant.inserted()
        await move(own_db, "elsewhere")
        await tenant.inserted()
        assert (await tenant.forks())[before["lineage"]] > before["last"]
        await own_db.execute("DELETE FROM tenant_clock; INSERT INTO tenant_clock TABLE dump")
        await own_db.execute("UPDATE feed_forks SET left_at = 'epoch'")
        await own_db.execute(f"SELECT feed.{verb}('{tenant.id}')")
        await tenant.inserted()
        assert await own_db.fetchval("SELECT min(left_at) FROM feed_forks") > EPOCH
        assert await tenant.forks() == (
            {before["lineage"]: before["last"]} if verb == "tick" else {}
        )

    @pytest.mark.parametrize("hours", [0, 1])
    async def test_two_that_go_on_from_one_clock_give_out_other_stamps(
        self, own_db: asyncpg.Connection, hours: int
    ) -> None:
        """Whether it is ahead, as after a void, or not. Each is past what the others may reach."""
        tenant = await tenant_in(own_db)
        ahead = timedelta(hours=hours)
        await own_db.execute("UPDATE tenant_clock SET last = clock_timestamp() + $1", ahead)
        await own_db.execute("CREATE TABLE backup AS TABLE tenant_clock")
        lost = await tenant.stamp(await tenant.inserted())
        found = []
        for place in ("one", "other"):
            await own_db.execute("DELETE FROM tenant_clock; INSERT INTO tenant_clock TABLE backup")
            await move(own_db, place)
            found.append(await tenant.stamp(await tenant.inserted()))
        first, second = found
        assert first != second
        assert min(found) - lost > timedelta(seconds=9)
        wall = await own_db.fetchval("SELECT clock_timestamp()")
        assert max(found) - max(lost, wall) <= timedelta(seconds=20)

    async def test_two_that_come_first_make_one_fork(
        self, own_db: asyncpg.Connection, own_url: str
    ) -> None:
        tenant = await tenant_in(own_db)
        await move(own_db, "elsewhere")
        other = await asyncpg.connect(own_url)
        first = own_db.transaction()
        await first.start()
        await tenant.inserted()
        await own_db.execute("SELECT feed.flush($1)", tenant.id)  # it holds the clock
        second = asyncio.create_task(tenant.insert(uuid4(), by=other))

        async def is_waiting() -> bool:
            query = "SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted AND pid = $1)"
            return bool(await own_db.fetchval(query, other.get_server_pid()))

        await until(is_waiting)
        await first.commit()
        await second
        await other.close()
        assert len(await tenant.forks()) == 1

    async def test_a_fork_that_is_rolled_back_was_none(self, own_db: asyncpg.Connection) -> None:
        tenant = await tenant_in(own_db)
        before = await tenant.clock()
        await move(own_db, "elsewhere")
        transaction = own_db.transaction()
        await transaction.start()
        await tenant.inserted()
        await own_db.execute("SELECT feed.flush($1)", tenant.id)
        await transaction.rollback()
        assert await tenant.clock() == before
        assert await tenant.forks() == {}

    async def test_the_newest_ten_thousand_are_kept(self, own_db: asyncpg.Connection) -> None:
        tenant, other = await tenant_in(own_db), await tenant_in(own_db)
        for each in (tenant, other):
            await own_db.execute(
                "INSERT INTO feed_forks SELECT $1, substr(uuid_send(gen_random_uuid()), 1, 8), "
                "timestamptz '2001-01-01Z' + n * interval '1 s' FROM generate_series(1, 10000) n",
                each.id,
            )
        before = await tenant.clock()
        await move(own_db, "elsewhere")
        await tenant.inserted()
        forks = await tenant.forks()
        assert len(forks) == 10_000
        assert forks[before["lineage"]] == before["last"]
        assert min(forks.values()) == datetime(2001, 1, 1, 0, 0, 2, tzinfo=UTC)
        assert len(await other.forks()) == 10_000


class TestVoid:
    async def test_nothing_of_before_goes_on(self, own_db: asyncpg.Connection) -> None:
        tenants = [await tenant_in(own_db) for _ in range(2)]
        await move(own_db, "elsewhere")
        for each in tenants:
            await each.inserted()
        before = [await each.clock() for each in tenants]
        wall = await own_db.fetchval("SELECT clock_timestamp()")
        assert await own_db.fetchval("SELECT feed.void_cursors()") == 2
        for each, clock in zip(tenants, before, strict=True):
            after = await each.clock()
            assert after["lineage"] != clock["lineage"]
            assert await each.forks() == {}
            assert after["last"] == after["tombstone_floor"] == after["voided_at"]
            assert after["last"] >= wall + timedelta(hours=1)
            assert after["opened_at"] == EPOCH + MICROSECOND
            assert after["feed_id"] == clock["feed_id"]

    async def test_one_alone(self, own_db: asyncpg.Connection) -> None:
        tenant, other = await tenant_in(own_db), await tenant_in(own_db)
        before = await other.clock()
        floor = await own_db.fetchval("SELECT floor FROM feed.void($1)", tenant.id)
        assert (await tenant.clock())["last"] == floor
        assert await other.clock() == before

    async def test_stamps_go_on_above_it_and_voids_too(self, own_db: asyncpg.Connection) -> None:
        tenant = await tenant_in(own_db)
        marks = []
        for _ in range(2):
            marks.append(await own_db.fetchval("SELECT floor FROM feed.void($1)", tenant.id))
            marks.append(await tenant.stamp(await tenant.inserted()))
        assert marks == sorted(set(marks))
        assert marks[1] == marks[0] + MICROSECOND
        assert marks[-1] - marks[0] < timedelta(minutes=30)  # an hour ahead, not one hour each

    async def test_two_voids_of_one_backup_reach_other_times(
        self, own_db: asyncpg.Connection
    ) -> None:
        """Where its clock is ahead already, as it is after a void."""
        tenant = await tenant_in(own_db)
        await own_db.execute("SELECT feed.void($1)", tenant.id)
        await own_db.execute("CREATE TABLE backup AS TABLE tenant_clock")
        lost = await tenant.stamp(await tenant.inserted())
        floors = []
        for _ in range(2):
            await own_db.execute("DELETE FROM tenant_clock; INSERT INTO tenant_clock TABLE backup")
            floors.append(await own_db.fetchval("SELECT floor FROM feed.void($1)", tenant.id))
        first, second = floors
        assert first != second
        assert min(floors) - lost > timedelta(seconds=9)

    async def test_two_voids_of_one_backup_are_two_lineages(
        self, own_db: asyncpg.Connection
    ) -> None:
        tenant = await tenant_in(own_db)
        lineages = set()
        for _ in range(2):
            transaction = own_db.transaction()
            await transaction.start()
            await own_db.execute("SELECT feed.void($1)", tenant.id)
            lineages.add((await tenant.clock())["lineage"])
            await transaction.rollback()  # the backup is as it was
        assert len(lineages) == 2


class TestOpening:
    async def test_a_feed_is_opened_once(self, db: asyncpg.Connection) -> None:
        tenant = await tenant_in(db, opens=False)
        feed, late = uuid4(), uuid4()
        assert await db.fetchval("SELECT feed.open($1, $2)", tenant.id, feed) == feed
        before = await tenant.clock()
        assert await db.fetchval("SELECT feed.open($1, $2)", tenant.id, late) == feed
        assert await tenant.clock() == before
        assert before["opened_at"] == before["last"]
        assert (before["tombstone_floor"], before["voided_at"]) == (EPOCH, EPOCH)

    @pytest.mark.parametrize("isolation", ["read_committed", "repeatable_read", "serializable"])
    async def test_a_write_to_a_tenant_without_one_is_refused(
        self, db: asyncpg.Connection, isolation: str
    ) -> None:
        tenant = await tenant_in(db, opens=False)
        with pytest.raises(asyncpg.PostgresError, match="has no feed in this database") as error:
            async with db.transaction(isolation=isolation):
                await tenant.inserted()
        assert error.value.sqlstate == "SYF01"
        assert "syncapi feed open" in error.value.hint
        count = "SELECT count(*) FROM documents WHERE tenant_id = $1"
        assert await db.fetchval(count, tenant.id) == 0
        assert await tenant.clock() is None

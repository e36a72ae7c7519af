"""Random transactions of people at psql and of jobs at night, as plans that can be repeated."""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal
from uuid import UUID

Isolation = Literal["read_committed", "repeatable_read", "serializable"]


@dataclass(frozen=True, slots=True)
class Statement:
    """SQL and its parameters; `name` is for the tally."""

    name: str
    sql: str
    values: tuple[object, ...] = ()


@dataclass(frozen=True, slots=True)
class Pause:
    """The transaction stays open for `seconds`, as when a person is at lunch."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Savepoint:
    """Steps that are kept or rolled back together."""

    steps: "Sequence[Step]"
    is_kept: bool


Step = Statement | Pause | Savepoint


@dataclass(frozen=True, slots=True)
class Transaction:
    """What one transaction does, the same at every attempt."""

    isolation: Isolation
    steps: Sequence[Step]
    is_committed: bool


_SOME = """
id IN (SELECT id FROM documents WHERE tenant_id = $1 AND id >= $2 ORDER BY id LIMIT $3)
"""
_SOME_FILE = "(SELECT id FROM files WHERE tenant_id = $1 ORDER BY id >= $2 DESC, id LIMIT 1)"
_COLUMNS = "tenant_id, id, filename, mime_type, file_id, user_id, is_deleted"

_INSERT = f"""
INSERT INTO documents (tenant_id, id, filename, mime_type, file_id)
SELECT $1, id, $3, 'text/plain', {_SOME_FILE} FROM unnest($4::uuid[]) AS id
"""
_FILE = """
INSERT INTO files (tenant_id, id, md5_hash, sha256_hash, s3_path, file_size)
VALUES ($1, $2, md5($3), encode(sha256(convert_to($3, 'UTF8')), 'hex'), 'none/' || $3, length($3))
ON CONFLICT DO NOTHING
"""
_AGAIN = f"""
WITH gone AS (DELETE FROM documents WHERE tenant_id = $1 AND {_SOME} RETURNING *)
INSERT INTO documents ({_COLUMNS}) SELECT {_COLUMNS} FROM gone
"""
_STRANGE_TIMES = ("infinity", "-infinity", "0044-03-15 BC", "12026-01-01", "294276-12-31")
_FLUSH = "SET CONSTRAINTS ALL IMMEDIATE"
_DEFER = "SET CONSTRAINTS ALL DEFERRED"


class Planner:
    """Draws plans from `rng`.

    Args:
        tenants: to write to, all in one database.
        longest_pause: seconds that a transaction stays open at most, each time.
    """

    def __init__(
        self, rng: random.Random, tenants: Sequence[UUID], *, longest_pause: float
    ) -> None:
        self._rng = rng
        self._tenants = tenants
        self._longest_pause = longest_pause
        self._kinds: list[tuple[int, Callable[[UUID], Statement]]] = [
            (30, self._insert),
            (6, self.new_file),
            (22, self._rename),
            (6, self._change_content),
            (12, self._delete_softly),
            (10, self._undelete),
            (8, self._delete),
            (3, self._change_id),
            (2, self._delete_and_insert),
            (3, self._change_nothing),
            (2, self._set_strange_times),
        ]

    def transaction(self) -> Transaction:
        """The next plan."""
        rng = self._rng
        most = 1 if rng.random() < 0.7 else 3
        tenants = rng.sample(self._tenants, min(most, len(self._tenants)))
        isolation: Isolation = rng.choices(
            ("read_committed", "repeatable_read", "serializable"), (6, 3, 1)
        )[0]
        steps = self._steps(tenants, depth=0)
        return Transaction(isolation, steps, is_committed=rng.random() < 0.88)

    def new_file(self, tenant: UUID) -> Statement:
        """A file whose bytes are nowhere."""
        return Statement("new file", _FILE, (tenant, self._id(), str(self._rng.random())))

    def _steps(self, tenants: Sequence[UUID], depth: int) -> list[Step]:
        count = 1 + int(self._rng.expovariate(0.7))
        return [step for _ in range(min(count, 8)) for step in self._step(tenants, depth)]

    def _step(self, tenants: Sequence[UUID], depth: int) -> list[Step]:
        rng = self._rng
        draw = rng.random()
        if draw < 0.25:
            return [Pause(rng.random() ** 2 * self._longest_pause)]
        if draw < 0.37 and depth < 2:
            return [Savepoint(self._steps(tenants, depth + 1), is_kept=rng.random() < 0.5)]
        if draw < 0.40:
            return [Statement("flush", _FLUSH), Statement("defer", _DEFER)]
        kinds = [kind for _, kind in self._kinds]
        kind = rng.choices(kinds, [weight for weight, _ in self._kinds])[0]
        return [kind(rng.choice(tenants))]

    def _id(self) -> UUID:
        return UUID(int=self._rng.getrandbits(128), version=4)

    def _name(self) -> str:
        return f"{self._rng.choice(('bericht', 'отчёт', '報告', 'report'))} {self._rng.random()}"

    def _number(self) -> int:
        return 1 if self._rng.random() < 0.6 else self._rng.randint(2, 40)

    def _insert(self, tenant: UUID) -> Statement:
        ids = [self._id() for _ in range(self._number())]
        return Statement("insert", _INSERT, (tenant, self._id(), self._name(), ids))

    def _rename(self, tenant: UUID) -> Statement:
        return self._update("rename", tenant, "filename = $4", self._name())

    def _change_content(self, tenant: UUID) -> Statement:
        return self._update("new content", tenant, f"file_id = {_SOME_FILE}")

    def _delete_softly(self, tenant: UUID) -> Statement:
        return self._update("soft deletion", tenant, "is_deleted = true, deleted_at = now()")

    def _undelete(self, tenant: UUID) -> Statement:
        return self._update("undelete", tenant, "is_deleted = false, deleted_at = NULL")

    def _change_nothing(self, tenant: UUID) -> Statement:
        return self._update("no change", tenant, "filename = filename")

    def _set_strange_times(self, tenant: UUID) -> Statement:
        """What PostgreSQL can hold, and hardly anything else can."""
        column = self._rng.choice(("created_at", "deleted_at", "updated_at"))
        strange = self._rng.choice(_STRANGE_TIMES)
        return self._update("strange time", tenant, f"{column} = '{strange}'::timestamptz")

    def _update(self, name: str, tenant: UUID, what: str, *values: object) -> Statement:
        sql = f"UPDATE documents SET {what} WHERE tenant_id = $1 AND {_SOME}"
        return Statement(name, sql, (tenant, self._id(), self._number(), *values))

    def _delete(self, tenant: UUID) -> Statement:
        sql = f"DELETE FROM documents WHERE tenant_id = $1 AND {_SOME}"
        return Statement("hard deletion", sql, (tenant, self._id(), self._number()))

    def _change_id(self, tenant: UUID) -> Statement:
        sql = f"UPDATE documents SET id = $4 WHERE tenant_id = $1 AND {_SOME}"
        return Statement("new id", sql, (tenant, self._id(), 1, self._id()))

    def _delete_and_insert(self, tenant: UUID) -> Statement:
        return Statement("delete and insert", _AGAIN, (tenant, self._id(), self._number()))

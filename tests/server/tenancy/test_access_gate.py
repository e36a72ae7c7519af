"""Who is let in, for how long that is remembered, and how fast it is forgotten."""

import asyncio
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from uuid import UUID

import asyncpg
import pytest
from sqlalchemy.ext.asyncio import create_async_engine
from typing_extensions import override

from syncapi.embedded import ServiceAddresses
from syncapi.server.domain.access import Membership, Permission, Role, TenantScope
from syncapi.server.domain.errors import Forbidden, NotFound, Refusal, Unauthenticated, Unavailable
from syncapi.server.identity.tokens import SecretIssuer, TokenVerifier, issue
from syncapi.server.postgres.control import ControlStore
from syncapi.server.postgres.databases import Databases
from syncapi.server.postgres.engines import PoolLimits, create_engine
from syncapi.server.redis.client import connect
from syncapi.server.redis.invalidation import Change, Invalidations
from syncapi.server.usecases.access import AccessGate, confirmed_in_place
from syncapi.server.usecases.tenants import TenantAdministration

ISSUER = SecretIssuer("syncapi", "syncapi", "a secret of more than thirty-two bytes")
CACHE_SECONDS = 10.0


@dataclass
class Clock:
    time: float = 1000.0

    def __call__(self) -> float:
        return self.time


@pytest.fixture
def clock() -> Clock:
    return Clock()


class ObservedStore(ControlStore):
    """Counts its reads, and holds their answers back while it is closed."""

    def __init__(self, databases: Databases) -> None:
        super().__init__(databases.control)
        self.reads = 0
        self.asked = asyncio.Event()
        self.open = asyncio.Event()
        self.open.set()

    @override
    async def membership(self, user_id: UUID, tenant_id: UUID) -> Membership | None:
        self.reads += 1
        answer = await super().membership(user_id, tenant_id)
        self.asked.set()
        await self.open.wait()
        return answer


@pytest.fixture
def store(databases: Databases) -> ObservedStore:
    return ObservedStore(databases)


@pytest.fixture
def news() -> Invalidations:
    return Invalidations(None)


def make_gate(
    store: ControlStore,
    news: Invalidations,
    now: Callable[[], float],
    cache_seconds: float = CACHE_SECONDS,
) -> AccessGate:
    verifier = TokenVerifier([ISSUER], leeway=0, remember_seconds=600)
    return AccessGate(verifier, store, news, cache_seconds=cache_seconds, now=now)


@pytest.fixture
def gate(store: ObservedStore, news: Invalidations, clock: Clock) -> AccessGate:
    return make_gate(store, news, clock)


@dataclass
class Tenancy:
    """A tenant, and an operator whose changes nobody hears of."""

    id: UUID
    feed_id: UUID | None
    operator: TenantAdministration

    async def join(self, role: Role = Role.USER) -> "Bearer":
        bearer = Bearer()
        await self.operator.add_member(str(self.id), bearer.user, role)
        return bearer

    async def scope(self) -> TenantScope:
        """What a new member is let in with."""
        bearer = await self.join()
        return TenantScope(
            self.id, "default", self.feed_id, bearer.user, Role.USER, Permission.READ
        )


class Bearer:
    def __init__(self) -> None:
        self.user = uuid.uuid4()
        self.token = issue(ISSUER, self.user, lifetime=3600)


@pytest.fixture
async def tenancy(administration: TenantAdministration) -> Tenancy:
    tenant = await administration.create("Access", slug=f"access-{uuid.uuid4().hex[:12]}")
    return Tenancy(tenant.id, tenant.feed_id, administration)


ALLOWED = {
    Role.ADMIN: {"read", "write", "delete", "admin"},
    Role.USER: {"read", "write"},
    Role.VIEWER: {"read"},
}


@pytest.mark.parametrize("permission", Permission)
@pytest.mark.parametrize("role", Role)
async def test_a_role_does_what_it_may(
    gate: AccessGate, tenancy: Tenancy, role: Role, permission: Permission
) -> None:
    bearer = await tenancy.join(role)
    if permission.value not in ALLOWED[role]:
        with pytest.raises(Forbidden, match=permission.value):
            await gate.scope(bearer.token, tenancy.id, permission)
        assert gate.cached_scope(bearer.token, tenancy.id, permission) is None
        return
    scope = await gate.scope(bearer.token, tenancy.id, permission)
    assert (scope.tenant_id, scope.user_id) == (tenancy.id, bearer.user)
    assert (scope.role, scope.permission, scope.database) == (role, permission, "default")
    assert gate.cached_scope(bearer.token, tenancy.id, permission) == scope


async def test_what_is_not_yours_looks_like_what_does_not_exist(
    gate: AccessGate, tenancy: Tenancy
) -> None:
    bearer, stranger = await tenancy.join(), Bearer()
    await tenancy.operator.set_active(str(tenancy.id), is_active=False)
    details = set()
    for token, tenant_id in (
        (stranger.token, tenancy.id),
        (bearer.token, uuid.uuid4()),
        (bearer.token, tenancy.id),
    ):
        with pytest.raises(NotFound) as refusal:
            await gate.scope(token, tenant_id, Permission.READ)
        details.add(refusal.value.detail)
    assert len(details) == 1


async def test_a_bad_token_is_refused_before_anything_is_read(
    gate: AccessGate, tenancy: Tenancy, store: ObservedStore
) -> None:
    with pytest.raises(Unauthenticated):
        await gate.scope("nonsense", tenancy.id, Permission.READ)
    assert gate.cached_scope("nonsense", tenancy.id, Permission.READ) is None
    assert store.reads == 0


async def test_a_membership_is_read_once_in_a_while(
    gate: AccessGate, tenancy: Tenancy, store: ObservedStore, clock: Clock
) -> None:
    bearer = await tenancy.join()
    for _ in range(3):
        await gate.scope(bearer.token, tenancy.id, Permission.READ)
    assert store.reads == 1
    await tenancy.operator.remove_member(str(tenancy.id), bearer.user)
    clock.time += CACHE_SECONDS - 1
    await gate.scope(bearer.token, tenancy.id, Permission.READ)
    clock.time += 1
    assert gate.cached_scope(bearer.token, tenancy.id, Permission.READ) is None
    with pytest.raises(NotFound):
        await gate.scope(bearer.token, tenancy.id, Permission.READ)


async def test_strangers_are_remembered_too(
    gate: AccessGate, tenancy: Tenancy, store: ObservedStore
) -> None:
    stranger = Bearer()
    for _ in range(3):
        with pytest.raises(NotFound):
            await gate.scope(stranger.token, tenancy.id, Permission.READ)
    assert store.reads == 1


async def test_without_a_cache_every_request_is_read(
    store: ObservedStore, news: Invalidations, tenancy: Tenancy
) -> None:
    gate = make_gate(store, news, Clock(), cache_seconds=0)
    bearer = await tenancy.join()
    for _ in range(3):
        await gate.scope(bearer.token, tenancy.id, Permission.READ)
    assert store.reads == 3


async def test_many_at_once_read_once(
    gate: AccessGate, tenancy: Tenancy, store: ObservedStore
) -> None:
    bearer = await tenancy.join()
    scopes = (gate.scope(bearer.token, tenancy.id, Permission.READ) for _ in range(20))
    assert len(set(await asyncio.gather(*scopes))) == 1
    assert store.reads == 1


@pytest.mark.parametrize("cache_seconds", [0, 1])
async def test_a_read_that_began_too_long_ago_lets_nobody_in(
    store: ObservedStore, news: Invalidations, clock: Clock, tenancy: Tenancy, cache_seconds: float
) -> None:
    """The control database takes long to answer, and a member is removed meanwhile."""
    gate = make_gate(store, news, clock, cache_seconds)
    bearer = await tenancy.join()

    async def ask() -> TenantScope:
        return await gate.scope(bearer.token, tenancy.id, Permission.READ)

    store.open.clear()
    before = asyncio.create_task(ask())
    await store.asked.wait()
    await tenancy.operator.remove_member(str(tenancy.id), bearer.user)
    clock.time += 2
    after = asyncio.create_task(ask())
    await asyncio.sleep(0)  # it joins the read
    store.open.set()
    await before
    with pytest.raises(NotFound):
        await after


CHANGES: dict[str, Callable[[UUID, UUID], Change]] = {
    "of the member": Change,
    "of the tenant": lambda tenant, _: Change(tenant),
    "of the user": lambda _, user: Change(None, user),
    "of everything": lambda *_: Change(),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
async def test_news_are_followed_at_once(
    gate: AccessGate, news: Invalidations, tenancy: Tenancy, change: Callable[..., Change]
) -> None:
    bearer, other = await tenancy.join(), await tenancy.join()
    for member in (bearer, other):
        await gate.scope(member.token, tenancy.id, Permission.READ)
    await tenancy.operator.remove_member(str(tenancy.id), bearer.user)
    told = change(tenancy.id, bearer.user)
    await news.publish(told)
    with pytest.raises(NotFound):
        await gate.scope(bearer.token, tenancy.id, Permission.READ)
    remembered = gate.cached_scope(other.token, tenancy.id, Permission.READ)
    assert (remembered is None) == told.concerns(tenancy.id, other.user)


@pytest.mark.parametrize("is_asked_again", [False, True])
async def test_an_answer_that_was_overtaken_by_news_is_not_remembered(
    gate: AccessGate,
    news: Invalidations,
    tenancy: Tenancy,
    store: ObservedStore,
    is_asked_again: bool,
) -> None:
    bearer = await tenancy.join()
    store.open.clear()
    early = asyncio.create_task(gate.scope(bearer.token, tenancy.id, Permission.READ))
    await store.asked.wait()
    await tenancy.operator.remove_member(str(tenancy.id), bearer.user)
    await news.publish(Change(tenancy.id, bearer.user))
    late = [
        asyncio.create_task(gate.scope(bearer.token, tenancy.id, Permission.READ))
        for _ in range(is_asked_again)
    ]
    store.open.set()
    assert (await early).user_id == bearer.user  # it asked before the change
    for one in late:
        with pytest.raises(NotFound):
            await one
    assert gate.cached_scope(bearer.token, tenancy.id, Permission.READ) is None


async def test_a_client_that_hangs_up_takes_no_answer_from_the_others(
    gate: AccessGate, tenancy: Tenancy, store: ObservedStore
) -> None:
    bearer = await tenancy.join()
    store.open.clear()
    first = asyncio.create_task(gate.scope(bearer.token, tenancy.id, Permission.READ))
    await store.asked.wait()
    second = asyncio.create_task(gate.scope(bearer.token, tenancy.id, Permission.READ))
    first.cancel()
    store.open.set()
    assert (await second).user_id == bearer.user
    assert store.reads == 1


async def test_a_failure_is_told_and_not_remembered(news: Invalidations) -> None:
    engine = create_engine("postgresql://nobody@127.0.0.1:1/none", PoolLimits())
    gate = make_gate(ControlStore(engine), news, Clock())
    bearer, tenant_id = Bearer(), uuid.uuid4()
    answers = await asyncio.gather(
        *(gate.scope(bearer.token, tenant_id, Permission.READ) for _ in range(3)),
        return_exceptions=True,
    )
    assert [type(answer) for answer in answers] == [Unavailable] * 3
    assert gate.cached_scope(bearer.token, tenant_id, Permission.READ) is None


async def test_an_operator_elsewhere_is_heard_here(
    services: ServiceAddresses, databases: Databases, store: ObservedStore, tenancy: Tenancy
) -> None:
    channel = f"test:{uuid.uuid4()}"
    here, there = connect(services.redis_url, timeout=30), connect(services.redis_url, timeout=30)
    news = Invalidations(here, channel=channel)
    operator = TenantAdministration(store, databases, Invalidations(there, channel=channel))
    gate = make_gate(store, news, Clock())
    heard: asyncio.Queue[Change] = asyncio.Queue()
    news.subscribe(heard.put_nowait)
    bearer = await tenancy.join(Role.ADMIN)
    async with news.listening():
        await heard.get()  # connected
        for act, refusal in _acts(operator, tenancy.id, bearer.user):
            await gate.scope(bearer.token, tenancy.id, Permission.ADMIN)
            await act()
            await asyncio.wait_for(heard.get(), 30)
            with pytest.raises(refusal):
                await gate.scope(bearer.token, tenancy.id, Permission.ADMIN)
            await operator.set_active(str(tenancy.id), is_active=True)
            await operator.add_member(str(tenancy.id), bearer.user, Role.ADMIN)
            for _ in range(2):
                await asyncio.wait_for(heard.get(), 30)
    await here.aclose()
    await there.aclose()


def _acts(
    operator: TenantAdministration, tenant_id: UUID, user: UUID
) -> list[tuple[Callable[[], Awaitable[object]], type[Refusal]]]:
    tenant = str(tenant_id)
    return [
        (lambda: operator.remove_member(tenant, user), NotFound),
        (lambda: operator.set_active(tenant, is_active=False), NotFound),
        (lambda: operator.add_member(tenant, user, Role.VIEWER), Forbidden),
    ]


@dataclass
class Opening:
    """Opens connections to the control database once it is let."""

    url: str
    may_open: asyncio.Event = field(default_factory=asyncio.Event)
    begun: int = 0

    async def __call__(self) -> asyncpg.Connection:
        self.begun += 1
        await self.may_open.wait()
        return await asyncpg.connect(self.url)


async def test_a_connection_that_takes_too_long_to_open_is_there_for_the_next_try(
    tenancy: Tenancy, news: Invalidations, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    scope = await tenancy.scope()
    opening = Opening(database_url)
    engine = create_async_engine(
        "postgresql+asyncpg://", async_creator=opening, pool_size=1, max_overflow=0
    )
    gate = make_gate(ControlStore(engine), news, Clock())
    with monkeypatch.context() as hurried:
        hurried.setattr("syncapi.server.usecases.access.CONFIRM_SECONDS", 0.01)
        with pytest.raises(Unavailable, match="in time"):
            await confirmed_in_place(gate, scope)
    opening.may_open.set()
    monkeypatch.setattr("syncapi.server.usecases.access.CONFIRM_SECONDS", 3600.0)
    assert await confirmed_in_place(gate, scope) == scope
    assert opening.begun == 1
    await gate.close()
    await engine.dispose()


async def test_what_nobody_waits_for_any_more_ends_with_the_gate(
    tenancy: Tenancy, news: Invalidations, store: ObservedStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    scope = await tenancy.scope()
    monkeypatch.setattr("syncapi.server.usecases.access.CONFIRM_SECONDS", 0.01)
    gate = make_gate(store, news, Clock())
    before = asyncio.all_tasks()
    store.open.clear()
    with pytest.raises(Unavailable, match="in time"):
        await confirmed_in_place(gate, scope)
    assert asyncio.all_tasks() > before
    await gate.close()
    assert asyncio.all_tasks() == before

"""The states of a follower: which page it asks for next, and what becomes of it. Pure.

``step`` is the whole machine. It neither waits nor reads a clock nor touches a disk: it says what
is to be done (effects, carried out together with the new state in one transaction) and what is to
be asked next. The table in docs/client.md is the same in words, and drives the tests.
"""

import enum
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

Reason: TypeAlias = Literal["tombstones_collected", "history_lost"]
"""Why a follower begins again: deletions were forgotten, or writes that it has seen."""


class Phase(enum.StrEnum):
    EMPTY = "empty"
    FILLING = "filling"
    IN_STEP = "in step"
    FOLLOWING = "following"
    RESYNCING = "resyncing"
    COMPARING = "comparing"


@dataclass(frozen=True, slots=True)
class State:
    """Where a follower stands in the feed. All of it is kept in the store.

    Attributes:
        cursor: what the next page is asked with; None for the feed's beginning.
        reason: of the resync that is under way.
    """

    phase: Phase = Phase.EMPTY
    cursor: str | None = None
    reason: Reason | None = None


@dataclass(frozen=True, slots=True)
class Asked:
    """Somebody wants the documents brought in step."""


@dataclass(frozen=True, slots=True)
class Page:
    """The page that was asked for has come."""

    token: str
    has_more: bool


@dataclass(frozen=True, slots=True)
class Expired:
    """The server has refused the cursor."""

    reason: Reason


@dataclass(frozen=True, slots=True)
class WentBack:
    """The server does not have what it once had, though it took the cursor.

    Seen where an answer holds an older version than the one held, or where a run ended without
    what was pushed before it.
    """


@dataclass(frozen=True, slots=True)
class Compared:
    """It is known which of the versions held the server has lost."""


Event: TypeAlias = Asked | Page | Expired | WentBack | Compared


class Effect(enum.StrEnum):
    """What is done in the same transaction that keeps the new state."""

    EXPECT_PUSHED = "expect pushed"
    """A run begins: it must bring all that was pushed until now."""
    APPLY = "apply"
    """Take the page's documents over."""
    SHADOW = "shadow"
    """Keep the page beside the documents."""
    CLEAR_SHADOW = "clear shadow"
    CONFIRM_DELETIONS = "confirm deletions"
    """Take what was deleted before a first run, and not brought by it, to be deleted."""
    SWAP = "swap"
    """Let the shadow take the documents' place."""


_BEGINNING = (Effect.EXPECT_PUSHED,)


class Next(enum.StrEnum):
    """What is asked when the transaction is over; its outcome is the next event."""

    PAGE = "ask for a page"
    PAGE_WITHOUT_URLS = "ask without URLs"
    COMPARE = "compare"
    CHECK_PUSHED = "check pushed"
    """Hold what was pushed against what the run brought."""


@dataclass(frozen=True, slots=True)
class Transition:
    state: State
    effects: tuple[Effect, ...] = ()
    next: Next | None = None


class ImpossibleEvent(RuntimeError):  # noqa: N818 - it names what was met
    """An event that cannot come in this state: a mistake of the program."""

    def __init__(self, state: State, event: Event) -> None:
        super().__init__(f"{type(event).__name__} cannot come while it is {state.phase}.")


def step(state: State, event: Event) -> Transition:
    """What an event does to a follower.

    Raises:
        ImpossibleEvent: the event is no answer to what this state asks.
    """
    match event:
        case Asked():
            return _begin(state)
        case Page():
            return _take(state, event)
        case Expired(reason):
            return _resync_at_once(state, event, reason)
        case WentBack():
            return _again("history_lost")
        case Compared() if state.phase is Phase.COMPARING:
            return Transition(State(Phase.IN_STEP, state.cursor), (Effect.SWAP,))
        case Compared():
            raise ImpossibleEvent(state, event)


def _begin(state: State) -> Transition:
    match state.phase:
        case Phase.EMPTY:
            return Transition(replace(state, phase=Phase.FILLING), _BEGINNING, Next.PAGE)
        case Phase.IN_STEP:
            return Transition(replace(state, phase=Phase.FOLLOWING), _BEGINNING, Next.PAGE)
        case Phase.FILLING | Phase.FOLLOWING:
            return Transition(state, (), Next.PAGE)
        case Phase.RESYNCING:
            return Transition(state, (), Next.PAGE_WITHOUT_URLS)
        case Phase.COMPARING:
            return Transition(state, (), Next.COMPARE)


def _take(state: State, page: Page) -> Transition:
    moved = replace(state, cursor=page.token)
    match state.phase, page.has_more:
        case ((Phase.FILLING | Phase.FOLLOWING), True):
            return Transition(moved, (Effect.APPLY,), Next.PAGE)
        case Phase.FILLING, False:
            there = replace(moved, phase=Phase.IN_STEP)
            return Transition(there, (Effect.APPLY, Effect.CONFIRM_DELETIONS), Next.CHECK_PUSHED)
        case Phase.FOLLOWING, False:
            there = replace(moved, phase=Phase.IN_STEP)
            return Transition(there, (Effect.APPLY,), Next.CHECK_PUSHED)
        case Phase.RESYNCING, True:
            return Transition(moved, (Effect.SHADOW,), Next.PAGE_WITHOUT_URLS)
        case Phase.RESYNCING, False:
            return Transition(
                replace(moved, phase=Phase.COMPARING), (Effect.SHADOW,), Next.COMPARE
            )
        case _:
            raise ImpossibleEvent(state, page)


def _resync_at_once(state: State, event: Expired, reason: Reason) -> Transition:
    if state.phase not in {Phase.FILLING, Phase.FOLLOWING, Phase.RESYNCING}:
        raise ImpossibleEvent(state, event)
    return _again("history_lost" if state.reason == "history_lost" else reason)


def _again(reason: Reason) -> Transition:
    """From the beginning. A shadow that there is may be from before."""
    state = State(Phase.RESYNCING, None, reason)
    return Transition(state, (*_BEGINNING, Effect.CLEAR_SHADOW), Next.PAGE_WITHOUT_URLS)

"""The follower's states: the table in docs/client.md, cell by cell."""

import re
from collections.abc import Iterator
from itertools import product

import pytest

from fixtures.checkout import CHECKOUT
from syncapi.client.follower.machine import (
    Asked,
    Compared,
    Effect,
    Event,
    Expired,
    ImpossibleEvent,
    Next,
    Page,
    Phase,
    Reason,
    State,
    Transition,
    WentBack,
    step,
)

CLIENT = CHECKOUT / "docs" / "client.md"
REASONS: dict[str, Reason] = {
    "tombstones collected": "tombstones_collected",
    "history lost": "history_lost",
}
EVENTS: dict[str, Event] = {
    "asked": Asked(),
    "page": Page("next", has_more=True),
    "last page": Page("next", has_more=False),
    "expired, tombstones collected": Expired("tombstones_collected"),
    "expired, history lost": Expired("history_lost"),
    "went back": WentBack(),
    "compared": Compared(),
}
STATES = [
    "empty",
    "filling",
    "in step",
    "following",
    *(f"{phase}, {reason}" for phase, reason in product(("resyncing", "comparing"), REASONS)),
]


def table() -> dict[tuple[str, str], tuple[str, str, str]]:
    """(state, event) → (new state, effects, then) of every row."""
    text = CLIENT.read_text().partition("### The states")[2].partition("\n### ")[0]
    rows = re.findall(r"^\| ((?!state|-).+) \|$", text, re.MULTILINE)
    cells = [[cell.strip() for cell in row.split("|")] for row in rows]
    return {(state, event): (new, effects, then) for state, event, new, effects, then in cells}


def state_of(words: str, cursor: str | None) -> State:
    phase, _, reason = words.partition(", ")
    return State(Phase(phase), cursor, REASONS[reason] if reason else None)


def expected(before: State, event: Event, row: tuple[str, str, str]) -> Transition:
    new, effects, then = row
    cursor = event.token if isinstance(event, Page) else before.cursor
    if "clear shadow" in effects:
        cursor = None
    done = tuple(Effect(effect) for effect in effects.split(", ") if effect)
    return Transition(state_of(new, cursor), done, Next(then) if then else None)


@pytest.mark.parametrize(("state", "event"), list(product(STATES, EVENTS)))
def test_every_cell(state: str, event: str) -> None:
    row = table().get((state, event))
    before = state_of(state, None if state == "empty" else "here")
    if row is None:
        with pytest.raises(ImpossibleEvent):
            step(before, EVENTS[event])
    else:
        assert step(before, EVENTS[event]) == expected(before, EVENTS[event], row)


def test_the_table_names_nothing_else() -> None:
    assert set(table()) <= set(product(STATES, EVENTS))
    assert {state for state, _ in table()} == set(STATES)
    assert {event for _, event in table()} == set(EVENTS)


def reachable() -> Iterator[State]:
    """Every state that comes about from the first one, whatever happens."""
    waiting, seen = [State()], {State()}
    while waiting:
        state = waiting.pop()
        yield state
        for event in EVENTS.values():
            try:
                after = step(state, event).state
            except ImpossibleEvent:
                continue
            if after not in seen:
                seen.add(after)
                waiting.append(after)


def test_whoever_asks_is_asked_for_something() -> None:
    """No state is a dead end: a crash anywhere, and the next run has something to do."""
    assert all(step(state, Asked()).next is not None for state in reachable())


def test_a_reason_is_known_exactly_while_it_begins_again() -> None:
    resyncs = {Phase.RESYNCING, Phase.COMPARING}
    assert all((state.reason is not None) is (state.phase in resyncs) for state in reachable())
    assert {state.phase for state in reachable()} == set(Phase)

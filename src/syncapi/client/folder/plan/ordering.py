"""Moves in an order in which each target is free when its turn comes."""

from collections.abc import Mapping
from dataclasses import replace
from heapq import heapify, heappop, heappush
from uuid import UUID

from syncapi.client.folder.conflict_names import interim_path
from syncapi.client.folder.model import Base
from syncapi.client.folder.names import folders_of
from syncapi.client.folder.plan.actions import Move
from syncapi.client.folder.rules import Rules


def ordered(moves: list[Move], rules: Rules, before: Mapping[UUID, Base]) -> list[Move]:
    """Order the moves; where they wait for one another in a circle, one goes by an interim name.

    Args:
        moves: at most one for each document, no two to one target.
        rules: which paths are one.
        before: the ledger's entry of each document that moves.
    """
    moves = sorted(moves, key=lambda move: move.to)
    graph = _Graph(moves, rules)
    done = []
    while (turn := graph.next()) is not None:
        if graph.is_free(turn):
            done.append(graph.take(turn))
        else:
            move = graph.moves[turn]
            interim = interim_path(move.to, move.id)
            entry = replace(before[move.id], path=interim, sent=None)
            done.append(replace(move, to=interim, entry=entry))
            graph.vacate(turn, interim)
    return done


class _Graph:
    """Who waits for whom: a target is free once no source is on it, below it or above it."""

    def __init__(self, moves: list[Move], rules: Rules) -> None:
        self.moves = dict(enumerate(moves))
        sources, below = _indexed(moves, rules)
        self._awaited = [
            _in_the_way(turn, move, sources, below, rules) for turn, move in self.moves.items()
        ]
        self._waiting: dict[int, set[int]] = {}
        for turn, awaited in enumerate(self._awaited):
            for other in awaited:
                self._waiting.setdefault(other, set()).add(turn)
        self._free = [turn for turn, awaited in enumerate(self._awaited) if not awaited]
        heapify(self._free)

    def next(self) -> int | None:
        """One that is free to go, else the first that others wait for; None when all are done."""
        if self._free:
            return self._free[0]
        return min((turn for turn in self.moves if self._waiting.get(turn)), default=None)

    def is_free(self, turn: int) -> bool:
        return not self._awaited[turn]

    def take(self, turn: int) -> Move:
        heappop(self._free)
        self._release(turn)
        return self.moves.pop(turn)

    def vacate(self, turn: int, interim: str) -> None:
        """Note that a file has left its source for an interim name."""
        self.moves[turn] = replace(self.moves[turn], path=interim)
        self._release(turn)

    def _release(self, turn: int) -> None:
        for other in self._waiting.pop(turn, ()):
            self._awaited[other].discard(turn)
            if not self._awaited[other]:
                heappush(self._free, other)


def _indexed(moves: list[Move], rules: Rules) -> tuple[dict[str, int], dict[str, set[int]]]:
    """The moves by the key of their source, and by those of the folders it is in."""
    sources: dict[str, int] = {}
    below: dict[str, set[int]] = {}
    for turn, move in enumerate(moves):
        source = rules.key(move.path)
        sources[source] = turn
        for folder in folders_of(source):
            below.setdefault(folder, set()).add(turn)
    return sources, below


def _in_the_way(
    turn: int, move: Move, sources: dict[str, int], below: dict[str, set[int]], rules: Rules
) -> set[int]:
    target = rules.key(move.to)
    found = set(below.get(target, ()))
    found.update(sources[folder] for folder in folders_of(target) if folder in sources)
    if sources.get(target, turn) != turn:  # a name that only changes its case is no obstacle
        found.add(sources[target])
    return found

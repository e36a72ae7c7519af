"""Batches of changes on their way: what cannot be sent sinks nothing else."""

from collections.abc import Sequence
from typing import Final, TypeAlias

from syncapi.client.api.client import Client
from syncapi.client.errors import ApiError, Forbidden, InvalidRequest, TooLarge
from syncapi.protocol.push import ChangeResult, OnConflict, PushedChange

Answer: TypeAlias = ChangeResult | ApiError
"""What became of a change; an error where the whole request was refused for its sake."""

_FOR_ONE: Final = (InvalidRequest, TooLarge)


async def push_each(
    client: Client, changes: Sequence[PushedChange], on_conflict: OnConflict
) -> list[Answer]:
    """Push changes, with an answer for each in their order.

    A request that is refused for one change is halved until that one stands alone.

    Raises:
        ApiError, Unreachable: nothing could be pushed at all.
    """
    try:
        outcome = await client.push(changes, on_conflict=on_conflict)
    except Forbidden as error:
        return [error] * len(changes)
    except _FOR_ONE as error:
        if len(changes) == 1:
            return [error]
        half = len(changes) // 2
        first = await push_each(client, changes[:half], on_conflict)
        return first + await push_each(client, changes[half:], on_conflict)
    return list(outcome.results)

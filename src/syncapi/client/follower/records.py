"""What a follower keeps in its store, beside the documents."""

from datetime import datetime

from pydantic import BaseModel, ConfigDict

from syncapi.client.follower.machine import Phase, Reason


class Record(BaseModel):
    model_config = ConfigDict(frozen=True)


class FollowerState(Record):
    """The machine's state.

    Attributes:
        complete_until: the server's time up to which the last page's run is complete.
    """

    phase: Phase = Phase.EMPTY
    cursor: str | None = None
    reason: Reason | None = None
    complete_until: datetime | None = None


class Pushed(Record):
    """A version that the answer to a push named, and that the feed has not brought yet.

    Attributes:
        is_due: the run under way began after it, and must bring it.
        is_lost: a run has brought another version in its place.
    """

    version: datetime
    is_due: bool = False
    is_lost: bool = False


class LostVersion(Record):
    """A version that was held when the server lost it."""

    version: datetime

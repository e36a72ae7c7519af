"""The client: a library for programs that keep a local copy, and what the command line runs on.

What is named here is loaded when it is first used, so that importing this package costs nothing.
`__init__.pyi` has the same names for type checkers; a test holds the two together.
"""

from importlib import import_module
from typing import Final

_PLACES: Final[dict[str, str]] = {
    "BlockingClient": "api.blocking",
    "BytesContent": "transfer.contents",
    "Client": "api.client",
    "CommandToken": "api.tokens",
    "Content": "transfer.contents",
    "Downloader": "transfer.downloads",
    "FileContent": "transfer.contents",
    "FunctionToken": "api.tokens",
    "Guards": "folder.guards",
    "Mirror": "folder.mirror",
    "MirrorOptions": "folder.observe.observer",
    "PartFile": "transfer.sinks",
    "Replica": "replica.replica",
    "RetryPolicy": "retrying",
    "Sink": "transfer.sinks",
    "StaticToken": "api.tokens",
    "Store": "store.store",
    "TokenProvider": "api.tokens",
    "Trash": "folder.disk.trash",
    "Uploader": "transfer.uploads",
    "digest_of": "transfer.contents",
    "open_mirror": "folder.factory",
    **dict.fromkeys(
        [
            "ApiError",
            "Conflict",
            "ContentMismatch",
            "ContentMissing",
            "ContentReplaced",
            "CursorExpired",
            "Forbidden",
            "InvalidCursor",
            "InvalidDigest",
            "InvalidRequest",
            "NotFound",
            "PreconditionFailed",
            "RateLimited",
            "SafetyStop",
            "ServerError",
            "SourceChanged",
            "StoreBusy",
            "StoreDamaged",
            "StoreError",
            "SyncError",
            "TooLarge",
            "TransferError",
            "Unauthenticated",
            "UnexpectedAnswer",
            "Unreachable",
            "UnsupportedType",
            "WrongKey",
        ],
        "errors",
    ),
}


def __getattr__(name: str) -> object:
    place = _PLACES.get(name)
    if place is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found: object = getattr(import_module(f"{__name__}.{place}"), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted([*globals(), *_PLACES])

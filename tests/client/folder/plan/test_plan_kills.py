"""A process ends between a deed and its note, the server changes, and the next sync comes.

What it does is what it would have done without the kill.
"""

from collections.abc import Callable
from uuid import UUID

import pytest

from fixtures.folder_scenes import contents, document, names, rename_there, world_with
from fixtures.folder_world import World
from syncapi.client.folder.plan.actions import Delete, Download, Move, MoveToTrash

BIRTHS = pytest.mark.parametrize("tells_birth", [False, True])


def killed(world: World, kind: type[object]) -> None:
    """Carry a plan out up to its action of a kind, and end before that is noted."""
    planned = world.plan()
    stop = next(n for n, action in enumerate(planned.actions) if isinstance(action, kind))
    world.carry_out(planned, stop=stop, crash="between")


def restore_there(world: World, key: UUID) -> None:
    stored = world.server.documents[key]
    world.server.put(key, stored.folder, stored.filename, stored.content)


def delete_there(world: World, key: UUID) -> None:
    world.server.delete(key)


def edit_there(world: World, key: UUID) -> None:
    stored = world.server.documents[key]
    world.server.put(key, stored.folder, stored.filename, "edited")


def move_there(world: World, key: UUID) -> None:
    world.server.put(key, "d", "moved", world.server.documents[key].content)


AFTER = pytest.mark.parametrize(
    ("others", "wanted"),
    [(delete_there, {}), (edit_there, {"a": "edited"}), (move_there, {"d/moved": "new"})],
)


def in_the_end(world: World) -> dict[str, str]:
    """What both sides have."""
    world.check_rest(world.sync())
    assert contents(world) == names(world)
    return contents(world)


@BIRTHS
def test_what_was_trashed_and_is_restored_comes_back(tells_birth: bool) -> None:
    world = world_with("a", tells_birth=tells_birth)
    key = document(world, "a")
    world.server.delete(key)
    killed(world, MoveToTrash)
    restore_there(world, key)
    assert in_the_end(world) == {"a": "a"}


def test_what_was_trashed_and_is_restored_in_the_same_version_comes_back() -> None:
    """As by a backup of the database from before the deletion."""
    world = world_with("a")
    backup = dict(world.server.documents)
    world.server.delete(document(world, "a"))
    killed(world, MoveToTrash)
    world.restore_server(backup, told=False)
    assert in_the_end(world) == {"a": "a"}


def test_what_was_deleted_there_unanswered_and_is_restored_comes_back() -> None:
    world = world_with("a")
    key = document(world, "a")
    world.disk.remove("a")
    killed(world, Delete)
    restore_there(world, key)
    assert in_the_end(world) == {"a": "a"}


@BIRTHS
@AFTER
def test_what_was_placed_is_no_new_file(
    tells_birth: bool, others: Callable[[World, UUID], None], wanted: dict[str, str]
) -> None:
    world = world_with(tells_birth=tells_birth)
    key = world.new_id()
    world.server.put(key, "", "a", "new")
    killed(world, Download)
    others(world, key)
    assert in_the_end(world) == wanted


@BIRTHS
@AFTER
def test_what_was_replaced_is_no_edit(
    tells_birth: bool, others: Callable[[World, UUID], None], wanted: dict[str, str]
) -> None:
    world = world_with("a", tells_birth=tells_birth)
    key = document(world, "a")
    world.server.put(key, "", "a", "new")
    killed(world, Download)
    others(world, key)
    assert in_the_end(world) == wanted


@pytest.mark.parametrize(
    ("others", "wanted"),
    [
        (delete_there, {}),
        (edit_there, {"b": "edited"}),
        (move_there, {"d/moved": "a"}),
        (lambda world, _: rename_there(world, "b", "a"), {"a": "a"}),
    ],
)
@BIRTHS
def test_what_was_moved_is_not_renamed_by_a_person(
    tells_birth: bool, others: Callable[[World, UUID], None], wanted: dict[str, str]
) -> None:
    world = world_with("a", tells_birth=tells_birth)
    key = document(world, "a")
    rename_there(world, "a", "b")
    killed(world, Move)
    others(world, key)
    assert in_the_end(world) == wanted


@BIRTHS
def test_what_a_person_writes_after_the_kill_is_an_edit(tells_birth: bool) -> None:
    world = world_with("a", tells_birth=tells_birth)
    key = document(world, "a")
    world.server.put(key, "", "a", "new")
    killed(world, Download)
    world.disk.edit("a", "mine")
    assert in_the_end(world) == {"a": "mine"}


@BIRTHS
def test_what_a_person_renames_after_the_kill_is_renamed(tells_birth: bool) -> None:
    """It has come, and is no new file: neither where it was placed nor where it was moved."""
    world = world_with("a", tells_birth=tells_birth)
    key = world.new_id()
    world.server.put(key, "", "new", "new")
    killed(world, Download)
    world.disk.rename("new", "renamed")
    rename_there(world, "a", "b")
    killed(world, Move)
    world.disk.rename("b", "c")
    assert in_the_end(world) == {"renamed": "new", "c": "a"}
    assert document(world, "renamed") == key


def test_a_new_file_where_one_was_trashed_is_not_an_edit_of_it() -> None:
    world = world_with("a", tells_birth=True)
    key = document(world, "a")
    world.server.delete(key)
    killed(world, MoveToTrash)
    world.disk.write("a", "another")
    restore_there(world, key)
    assert sorted(in_the_end(world).values()) == ["a", "another"]


def test_a_create_that_arrived_and_was_deleted_since_stays_deleted() -> None:
    world = world_with()
    world.disk.write("a", "a")
    planned = world.plan()
    world.carry_out(planned, stop=0, crash="between")
    world.server.delete(document(world, "a"))
    assert in_the_end(world) == {}

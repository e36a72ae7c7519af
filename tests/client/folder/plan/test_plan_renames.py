"""Scenes that the table has no room for: names that are swapped, renames that are none."""

from dataclasses import replace

import pytest

from fixtures.folder_scenes import contents, document, kinds, names, rename_there, world_with
from fixtures.folder_world import World
from syncapi.client.folder.conflict_names import is_interim
from syncapi.client.folder.plan.actions import (
    Adopt,
    Create,
    Delete,
    Download,
    Move,
    Update,
)


class TestSwaps:
    def test_two_files_that_swap_names_here_are_renamed_there(self) -> None:
        world = world_with("a", "b")
        disk = world.disk
        disk.rename("a", "c")
        disk.rename("b", "a")
        disk.rename("c", "b")
        planned = world.plan()
        assert kinds(planned) == [Update, Update]
        assert all(isinstance(a, Update) and a.sha256 is None for a in planned.actions)
        world.sync()
        assert names(world) == {"a": "b", "b": "a"}

    def test_three_that_change_places_here(self) -> None:
        world = world_with("a", "b", "c")
        disk = world.disk
        disk.files["a"], disk.files["b"], disk.files["c"] = (
            disk.files["b"], disk.files["c"], disk.files["a"],
        )  # fmt: skip
        assert kinds(world.plan()) == [Update] * 3
        world.sync()
        assert names(world) == {"a": "b", "b": "c", "c": "a"}

    def test_a_swap_there_goes_by_an_interim_name(self) -> None:
        world = world_with("a", "b")
        one, other = document(world, "a"), document(world, "b")
        world.server.put(one, "", "b", "a")
        world.server.put(other, "", "a", "b")
        planned = world.plan()
        assert kinds(planned) == [Move, Move, Move]
        first = planned.actions[0]
        assert isinstance(first, Move)
        assert is_interim(first.to, first.id)
        world.sync()
        assert contents(world) == {"a": "b", "b": "a"}

    @pytest.mark.parametrize("crash", ["before", "between"])
    @pytest.mark.parametrize("stop", [0, 1, 2])
    def test_a_swap_that_is_cut_off_is_gone_on_with(self, stop: int, crash: str) -> None:
        world = world_with("a", "b")
        one, other = document(world, "a"), document(world, "b")
        world.server.put(one, "", "b", "a")
        world.server.put(other, "", "a", "b")
        before = world.server.live()
        world.carry_out(world.plan(), stop=stop, crash=crash)  # type: ignore[arg-type]
        world.sync()
        assert contents(world) == {"a": "b", "b": "a"}
        assert world.server.live() == before

    def test_the_editor_that_keeps_a_backup_renames_no_document(self) -> None:
        world = world_with("a")
        world.disk.rename("a", "a~")
        world.disk.write("a", "new")
        planned = world.plan()
        assert kinds(planned) == [Create, Update]
        world.sync()
        assert names(world) == {"a": "new", "a~": "a"}

    def test_a_file_renamed_over_another_keeps_the_document_of_the_path(self) -> None:
        world = world_with("a", "b")
        kept = document(world, "b")
        world.disk.rename("a", "b")
        world.sync()
        assert names(world) == {"b": "a"}
        assert document(world, "b") == kept


class TestRenames:
    def test_a_folder_that_is_renamed_here_is_renames_only(self) -> None:
        world = world_with("d/a", "d/b", "d/e/a")
        for path in ("a", "b", "e/a"):
            world.disk.rename(f"d/{path}", f"f/{path}")
        planned = world.plan()
        assert kinds(planned) == [Update] * 3
        assert {(a.folder, a.filename) for a in planned.actions if isinstance(a, Update)} == {
            ("f", None), ("f/e", None),
        }  # fmt: skip

    def test_a_folder_that_is_renamed_there_is_moves_only(self) -> None:
        world = world_with("d/a", "d/b", "d/e/a")
        for path in ("a", "b", "e/a"):
            rename_there(world, f"d/{path}", f"d/d/{path}")
        assert kinds(world.plan()) == [Move] * 3
        world.sync()
        assert sorted(world.disk.files) == ["d/d/a", "d/d/b", "d/d/e/a"]

    def test_an_inode_that_was_given_away_is_no_rename(self) -> None:
        world = world_with("a.txt")
        world.disk.remove("a.txt")
        world.disk.write("b.txt", "something else")
        assert world.disk.files["b.txt"].number == 1
        assert kinds(world.plan()) == [Create, Delete]

    def test_renamed_and_edited_is_known_by_the_time_of_birth(self) -> None:
        world = world_with("a.txt", tells_birth=True)
        world.disk.rename("a.txt", "b.txt")
        world.disk.edit("b.txt", "edited")
        planned = world.plan()
        assert kinds(planned) == [Update]

    def test_an_inode_that_was_given_away_is_known_by_the_time_of_birth(self) -> None:
        world = world_with("d/a.txt", tells_birth=True)
        world.disk.remove("d/a.txt")
        world.disk.write("e/a.txt", "something else")
        assert kinds(world.plan()) == [Create, Delete]

    def test_moved_to_another_folder_and_edited_is_known_by_its_name(self) -> None:
        world = world_with("d/a.txt")
        world.disk.rename("d/a.txt", "e/a.txt")
        world.disk.edit("e/a.txt", "edited")
        assert kinds(world.plan()) == [Update]

    def test_a_copy_is_no_rename(self) -> None:
        world = world_with("a")
        world.disk.write("b", "a")
        assert kinds(world.plan()) == [Create]

    def test_of_two_copies_the_one_with_the_inode_is_the_renamed(self) -> None:
        world = world_with("d/a")
        world.disk.write("e/a", "d/a")
        world.disk.rename("d/a", "x")
        planned = world.plan()
        assert kinds(planned) == [Create, Update]
        assert [a.path for a in planned.actions if isinstance(a, Update)] == ["x"]

    def test_an_empty_file_elsewhere_is_another_one(self) -> None:
        world = World()
        world.disk.write("a", "")
        world.disk.write("b", "b")
        world.sync()
        world.disk.remove("a")
        world.disk.remove("b")  # so that the new one has not the inode of the empty one
        world.disk.write("c", "")
        assert world.disk.files["c"].number == 2
        assert kinds(world.plan()) == [Create, Delete, Delete]

    def test_deleted_here_and_renamed_there_comes_back(self) -> None:
        world = world_with("a")
        rename_there(world, "a", "b")
        world.disk.remove("a")
        planned = world.plan()
        assert kinds(planned) == [Download]
        assert [settled.kind for settled in planned.settled] == ["edit_survives"]


def test_of_two_entries_with_one_path_the_file_is_that_of_its_inode() -> None:
    world = World()
    for path in ("a", "b"):
        world.disk.write(path, "the same")
    world.sync()
    first, second = sorted(world.ledger)
    kept = world.ledger[second].path
    world.disk.remove(world.ledger[first].path)
    world.ledger[first] = replace(world.ledger[first], path=kept)  # a crash may leave it so
    stored = world.server.documents[second]
    world.server.put(second, stored.folder, stored.filename, stored.content)  # so it is looked at
    planned = world.plan()
    assert kinds(planned) == [Delete, Adopt]
    assert [action.id for action in planned.actions] == [first, second]

"""Scenes that a table has no room for: names that are swapped, shared, hostile or in the way."""

from dataclasses import replace
from uuid import UUID

import pytest

from fixtures.folder_model import World, digest
from syncapi.client.folder.actions import (
    Action,
    Create,
    Delete,
    Download,
    Move,
    Plan,
    SetAside,
    Trash,
    Update,
)
from syncapi.client.folder.conflict_names import is_interim
from syncapi.client.folder.names import split
from syncapi.client.folder.rules import Rules


def world_with(*paths: str, rules: Rules | None = None, tells_birth: bool = False) -> World:
    """In step, each file with bytes of its own: its path."""
    world = World(rules or Rules(), tells_birth)
    for path in paths:
        world.disk.write(path, path)
    world.sync()
    return world


def document(world: World, filename: str) -> UUID:
    return next(key for key, doc in world.server.live().items() if doc.filename == filename)


def kinds(planned: Plan) -> list[type[Action]]:
    return [type(action) for action in planned.actions]


def names(world: World) -> dict[str, str]:
    return {
        f"{doc.folder}/{doc.filename}".lstrip("/"): doc.content
        for doc in world.server.live().values()
    }


def contents(world: World) -> dict[str, str]:
    return {path: inode.content for path, inode in world.disk.files.items()}


def rename_there(world: World, source: str, target: str) -> None:
    folder, filename = split(source)
    key = next(
        key
        for key, doc in world.server.live().items()
        if (doc.folder, doc.filename) == (folder, filename)
    )
    world.server.put(key, *split(target), world.server.documents[key].content)


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
        assert is_interim(first.target, first.id)
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


class TestSharedNames:
    def test_two_documents_of_one_name_are_two_files(self) -> None:
        world = World()
        for content in ("one", "two"):
            world.server.put(world.new_id(), "d", "report.txt", content)
        world.check_rest(world.sync())
        other = max(world.server.live())
        assert set(world.disk.files) == {"d/report.txt", f"d/report ({other.hex[:6]}).txt"}
        assert names(world).keys() == {"d/report.txt"}, "that is no rename"

    def test_who_is_there_keeps_the_name_from_a_lower_id(self) -> None:
        world = world_with("a.txt")
        world.server.put(UUID(int=1), "", "a.txt", "new")
        world.sync()
        assert contents(world)["a.txt"] == "a.txt"
        assert contents(world)["a (000000).txt"] == "new"

    def test_an_edit_of_the_one_with_the_other_name_is_pushed_without_it(self) -> None:
        world = world_with("a.txt")
        world.server.put(UUID(int=1), "", "a.txt", "new")
        world.sync()
        world.disk.edit("a (000000).txt", "edited")
        (update,) = world.plan().actions
        assert isinstance(update, Update)
        assert (update.id, update.folder, update.filename) == (UUID(int=1), None, None)

    def test_moved_to_another_folder_it_keeps_its_name_there(self) -> None:
        world = world_with("a.txt")
        world.server.put(UUID(int=1), "", "a.txt", "new")
        world.sync()
        world.disk.rename("a (000000).txt", "d/a (000000).txt")
        (update,) = world.plan().actions
        assert isinstance(update, Update)
        assert (update.folder, update.filename) == ("d", None)

    def test_it_takes_the_name_when_that_is_free(self) -> None:
        world = world_with("a.txt")
        world.server.put(UUID(int=1), "", "a.txt", "new")
        world.sync()
        rename_there_key = next(k for k in world.server.live() if k != UUID(int=1))
        world.server.delete(rename_there_key)
        world.check_rest(world.sync())
        assert contents(world) == {"a.txt": "new"}

    def test_names_alike_but_for_case_where_the_disk_takes_them_for_one(self) -> None:
        world = world_with("Report", rules=Rules(case_insensitive=True))
        world.server.put(UUID(int=1), "", "report", "new")
        world.check_rest(world.sync())
        assert set(world.disk.files) == {"Report", "report (000000)"}
        world = world_with("Report")
        world.server.put(UUID(int=1), "", "report", "new")
        world.sync()
        assert set(world.disk.files) == {"Report", "report"}

    def test_a_new_file_has_to_give_way_to_a_new_document(self) -> None:
        world = World(Rules(case_insensitive=True))
        world.disk.write("Report.txt", "mine")
        world.server.put(UUID(int=1), "", "report.txt", "theirs")
        assert kinds(world.plan()) == [SetAside, Download, Create]
        world.check_rest(world.sync())
        mark = f"(conflict 2026-11-23 laptop {digest('mine')[:4]})"
        assert contents(world) == {f"Report {mark}.txt": "mine", "report.txt": "theirs"}


class TestCaseAndForm:
    @pytest.mark.parametrize("insensitive", [False, True])
    def test_a_name_that_only_changes_its_case(self, insensitive: bool) -> None:
        world = world_with("Report", rules=Rules(case_insensitive=insensitive))
        rename_there(world, "Report", "report")
        assert kinds(world.plan()) == [Move]
        world.check_rest(world.sync())
        assert set(world.disk.files) == {"report"}
        world.disk.rename("report", "x")
        world.disk.rename("x", "REPORT")
        assert kinds(world.plan()) == [Update]
        world.check_rest(world.sync())
        assert set(names(world)) == {"REPORT"}

    def test_a_disk_that_hands_out_another_form_renames_nothing(self) -> None:
        world = World(Rules(case_insensitive=True))
        world.server.put(UUID(int=1), "", "caf\u00e9", "text")
        world.sync()
        world.disk.rename("caf\u00e9", "x")
        world.disk.rename("x", "cafe\u0301")  # as HFS+ would
        world.check_rest(world.sync())
        assert set(names(world)) == {"caf\u00e9"}
        assert set(world.disk.files) == {"cafe\u0301"}

    def test_such_a_disk_pushes_new_names_in_nfc(self) -> None:
        world = world_with("cafe\u0301", rules=Rules(case_insensitive=True))
        assert set(names(world)) == {"caf\u00e9"}

    def test_elsewhere_names_are_kept_byte_for_byte(self) -> None:
        world = world_with("cafe\u0301", "caf\u00e9")
        assert set(names(world)) == {"cafe\u0301", "caf\u00e9"}

    def test_a_folder_keeps_the_case_it_has_here(self) -> None:
        world = world_with("Docs/a", rules=Rules(case_insensitive=True))
        world.server.put(UUID(int=1), "docs", "b", "text")
        world.check_rest(world.sync())
        assert set(world.disk.files) == {"Docs/a", "Docs/b"}
        assert set(names(world)) == {"Docs/a", "docs/b"}


class TestFilesAndFolders:
    def test_a_file_that_becomes_a_folder_there_and_back(self) -> None:
        world = world_with("a")
        world.server.delete(document(world, "a"))
        world.server.put(UUID(int=1), "a", "b", "inside")
        assert kinds(world.plan()) == [Trash, Download]
        world.check_rest(world.sync())
        world.server.delete(UUID(int=1))
        world.server.put(UUID(int=2), "", "a", "file again")
        assert kinds(world.plan()) == [Trash, Download]
        world.check_rest(world.sync())
        assert contents(world) == {"a": "file again"}

    def test_a_file_that_moves_into_a_folder_of_its_own_name_and_out(self) -> None:
        world = world_with("a")
        rename_there(world, "a", "a/a")
        world.check_rest(world.sync())
        assert set(world.disk.files) == {"a/a"}
        rename_there(world, "a/a", "a")
        world.check_rest(world.sync())
        assert set(world.disk.files) == {"a"}
        assert not world.disk.folders

    def test_a_file_that_becomes_a_folder_here(self) -> None:
        world = world_with("a")
        world.disk.remove("a")
        world.disk.write("a/b", "inside")
        assert kinds(world.plan()) == [Create, Delete]

    def test_a_folder_in_the_way_is_told(self) -> None:
        world = world_with("a/b")
        world.server.put(UUID(int=1), "", "a", "a file")
        planned = world.plan()
        assert not planned.actions
        assert [(p.id, p.code) for p in planned.problems] == [(UUID(int=1), "folder_in_the_way")]

    def test_a_file_in_the_way_is_told(self) -> None:
        world = world_with("a")
        world.server.put(UUID(int=1), "a", "b", "inside")
        planned = world.plan()
        assert not planned.actions
        assert [(p.id, p.code) for p in planned.problems] == [(UUID(int=1), "file_in_the_way")]

    def test_a_folder_with_what_is_ignored_in_it_is_not_emptied(self) -> None:
        world = world_with("a/b")
        world.disk.unknown.add("a/link")
        world.server.delete(document(world, "b"))
        world.server.put(UUID(int=1), "", "a", "a file")
        planned = world.plan()
        assert kinds(planned) == [Trash]
        assert [problem.code for problem in planned.problems] == ["folder_in_the_way"]


class TestLeftAlone:
    @pytest.mark.parametrize("change", ["nothing", "edited", "renamed", "deleted"])
    def test_what_could_not_be_read_is_never_deleted(self, change: str) -> None:
        world = world_with("d/a", "d/b", "c")
        key = document(world, "a")
        world.disk.unknown.add("d")
        if change == "edited":
            world.server.put(key, "d", "a", "theirs")
        elif change == "renamed":
            world.server.put(key, "e", "a", "d/a")
        elif change == "deleted":
            world.server.delete(key)
        assert not world.plan().actions

    def test_nothing_goes_where_could_not_be_read(self) -> None:
        world = world_with("a")
        world.disk.unknown.add("d")
        world.server.put(UUID(int=1), "d", "new", "text")
        rename_there(world, "a", "d/a")
        planned = world.plan()
        assert not planned.actions
        assert {problem.code for problem in planned.problems} == {"unknown_place"}

    def test_what_is_ignored_is_left_on_both_sides(self) -> None:
        world = world_with("secret", "a")
        world.disk.remove("secret")  # the scan does not tell of it any more
        world.rules = replace(world.rules, ignored=lambda path: path.startswith("secret"))
        world.server.put(UUID(int=1), "", "secret too", "text")
        planned = world.plan()
        assert not planned.actions
        assert planned.ignored == ("secret too",)

    @pytest.mark.parametrize(
        "place",
        [
            ("..", "x"), ("", ".."), ("/etc", "passwd"), ("a//b", "x"), ("", "a/b"), ("", ""),
            ("", "x" * 256), ("", "\u00e9" * 128), ("", "a\x00b"), ("", "txt.\u202eexe"),
            ("d/../..", "x"), ("", "back\\slash"), ("a/" * 1000, "x"), ("", "\ud800"),
        ],
    )  # fmt: skip
    def test_a_hostile_name_is_refused(self, place: tuple[str, str]) -> None:
        world = world_with("a")
        world.server.put(UUID(int=1), *place, "text")
        world.server.put(document(world, "a"), *place, "a")
        planned = world.plan()
        assert not planned.actions
        assert [problem.code for problem in planned.problems] == ["remote_name"] * 2

    @pytest.mark.parametrize("name", ["con", "NUL.txt", "a:b", "a?", "dot.", "space "])
    def test_names_that_windows_cannot_have_are_refused_there_only(self, name: str) -> None:
        for windows in (False, True):
            world = World(Rules(windows_names=windows))
            world.server.put(UUID(int=1), "", name, "text")
            assert bool(world.plan().problems) is windows

    def test_a_file_whose_name_the_server_cannot_take_is_told(self) -> None:
        world = world_with("a")
        world.disk.write("back\\slash", "text")
        world.disk.rename("a", "line\u2028break")
        planned = world.plan()
        assert not planned.actions
        assert [problem.code for problem in planned.problems] == ["local_name"] * 2
        assert len(world.server.live()) == 1

"""Scenes that the table has no room for: names that are shared, hostile or in the way."""

from dataclasses import replace
from uuid import UUID

import pytest

from fixtures.folder_model import digest
from fixtures.folder_scenes import contents, document, kinds, names, rename_there, world_with
from fixtures.folder_world import World
from syncapi.client.folder.plan.actions import (
    Create,
    Delete,
    Download,
    Move,
    MoveToTrash,
    SetAside,
    Update,
)
from syncapi.client.folder.rules import Rules


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

    def test_a_folder_that_is_not_here_yet_is_one_for_all_its_spellings(self) -> None:
        world = world_with("a", "b", rules=Rules(case_insensitive=True))
        world.disk.edit("b", "edited")
        rename_there(world, "a", "Docs/a")
        rename_there(world, "b", "docs/b")
        world.carry_out(world.plan())
        world.check_rest(world.sync())
        assert {path.casefold() for path in world.disk.files} == {"docs/a", "docs/b"}
        assert set(names(world)) == {"Docs/a", "docs/b"}


class TestFilesAndFolders:
    def test_a_file_that_becomes_a_folder_there_and_back(self) -> None:
        world = world_with("a")
        world.server.delete(document(world, "a"))
        world.server.put(UUID(int=1), "a", "b", "inside")
        assert kinds(world.plan()) == [MoveToTrash, Download]
        world.check_rest(world.sync())
        world.server.delete(UUID(int=1))
        world.server.put(UUID(int=2), "", "a", "file again")
        assert kinds(world.plan()) == [MoveToTrash, Download]
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

    def test_where_the_file_is_that_cannot_have_its_name_is_told(self) -> None:
        """It was renamed on both sides; the server's name counts, and a folder has it here."""
        world = world_with("a", "d/b")
        rename_there(world, "a", "d")
        world.disk.rename("a", "mine")
        (problem,) = world.plan().problems
        assert problem.path == "d"
        assert problem.detail.endswith("Its file is mine here.")

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
        assert kinds(planned) == [MoveToTrash]
        assert [(problem.path, problem.code) for problem in planned.problems] == [
            ("a", "folder_in_the_way"),
            ("a/link", "unknown_place"),
        ]


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
        assert planned.ignored == ("secret", "secret too")

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

"""Whatever happens on both sides, and wherever carrying out stops: it converges, nothing is lost."""

from collections.abc import Callable
from dataclasses import replace
from random import Random

from fixtures.folder_model import Crash, World
from hypothesis import given, settings
from hypothesis import strategies as st

from syncapi.client.folder.names import split
from syncapi.client.folder.plan import plan
from syncapi.client.folder.rules import Rules

PATHS = ("a", "b", "A.txt", "a.txt", "d/a", "d/b", "d", "d/e/a", "e/a.txt", "D/b")
CONTENTS = ("", "one", "two", "three", "four", "five")

Step = tuple[str, int, int, int]
steps = st.lists(
    st.tuples(
        st.sampled_from(
            (
                "write", "edit", "save", "remove", "rename", "swap", "copy", "backup", "shift",
                "there_put", "there_edit", "there_rename", "there_swap", "there_delete",
                "there_shift",
            )
        ),
        st.integers(0, 9),
        st.integers(0, 9),
        st.integers(0, 5),
    ),
    max_size=8,
)  # fmt: skip
crashes: st.SearchStrategy[Crash] = st.sampled_from(("no", "before", "between"))
halts = st.one_of(st.none(), st.tuples(st.integers(0, 12), crashes))
histories = st.lists(st.tuples(steps, halts), min_size=1, max_size=5)
rules = st.builds(Rules, case_insensitive=st.booleans())


def happen(world: World, step: Step) -> None:
    """Let a person or another client do something, where it can be done."""
    kind, i, j, c = step
    if kind.startswith("there_"):
        _happen_there(world, kind, i, j, CONTENTS[c])
        return
    disk, files = world.disk, sorted(world.disk.files)
    target = PATHS[j]
    source = files[i % len(files)] if files else ""
    free = disk.can_have(target)
    if kind == "write" and free:
        disk.write(target, CONTENTS[c])
    elif not files:
        return
    elif kind == "edit":
        disk.edit(source, CONTENTS[c])
    elif kind == "save":  # by a new file that is renamed over the old one
        disk.write(source, CONTENTS[c])
    elif kind == "remove":
        disk.remove(source)
    elif kind == "rename" and free and disk.at(target) != source:
        disk.rename(source, target)
    elif kind == "copy" and free and disk.at(target) is None:
        disk.write(target, disk.files[source].content)
    elif kind == "swap":
        other = files[j % len(files)]
        disk.files[source], disk.files[other] = disk.files[other], disk.files[source]
    elif kind == "backup" and free and disk.at(target) is None:
        disk.rename(source, target)
        disk.write(source, CONTENTS[c])
    elif kind == "shift":  # a folder is renamed
        _shift(world, files)


def _shift(world: World, files: list[str]) -> None:
    for path in files:
        if path.startswith("d/") and world.disk.can_have(f"f/{path[2:]}"):
            world.disk.rename(path, f"f/{path[2:]}")


def _happen_there(world: World, kind: str, i: int, j: int, content: str) -> None:
    server, live = world.server, sorted(world.server.live())
    folder, filename = split(PATHS[j])
    if kind == "there_put":
        server.put(world.new_id(), folder, filename, content)
        return
    if not live:
        return
    one, other = live[i % len(live)], live[j % len(live)]
    doc, second = server.documents[one], server.documents[other]
    if kind == "there_edit":
        server.put(one, doc.folder, doc.filename, content)
    elif kind == "there_rename":
        server.put(one, folder, filename, doc.content)
    elif kind == "there_delete":
        server.delete(one)
    elif kind == "there_swap" and one != other:
        server.put(one, second.folder, second.filename, doc.content)
        server.put(other, doc.folder, doc.filename, second.content)
    elif kind == "there_shift":
        for id in live:
            if server.documents[id].folder == "d":
                server.put(id, "g/d", server.documents[id].filename, server.documents[id].content)


@settings(max_examples=400, deadline=None)
@given(histories, rules, st.booleans())
def test_whatever_happens_both_sides_end_alike_and_nothing_is_lost(
    history: list[tuple[list[Step], tuple[int, Crash] | None]], rules: Rules, tells_birth: bool
) -> None:
    world = World(rules, tells_birth)
    for steps, halt in history:
        for step in steps:
            happen(world, step)
        planned = world.plan()
        if halt is None:
            world.carry_out(planned)
        else:
            world.carry_out(planned, stop=halt[0], crash=halt[1])
    world.check_rest(world.sync())

"""Whatever happens on both sides, wherever carrying out stops: both end alike, nothing is lost."""

from hypothesis import given, settings
from hypothesis import strategies as st

from fixtures.folder_model import Crash, Disk, Server, World
from syncapi.client.folder.names import split
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
        _happen_there(world, kind, (i, j), CONTENTS[c])
    elif kind == "write":
        if world.disk.can_have(PATHS[j]):
            world.disk.write(PATHS[j], CONTENTS[c])
    elif kind == "shift":
        _shift(world.disk)
    elif world.disk.files:
        _happen_here(world.disk, kind, (i, j), CONTENTS[c])


def _shift(disk: Disk) -> None:
    """A folder is renamed."""
    for path in sorted(disk.files):
        if path.startswith("d/") and disk.can_have(f"f/{path[2:]}"):
            disk.rename(path, f"f/{path[2:]}")


def _happen_here(disk: Disk, kind: str, which: tuple[int, int], content: str) -> None:
    files, target = sorted(disk.files), PATHS[which[1]]
    source, other = (files[number % len(files)] for number in which)
    free = disk.can_have(target) and disk.at(target) is None
    match kind:
        case "edit":
            disk.edit(source, content)
        case "save":  # by a new file that is renamed over the old one
            disk.write(source, content)
        case "remove":
            disk.remove(source)
        case "rename" if disk.can_have(target) and disk.at(target) != source:
            disk.rename(source, target)
        case "copy" if free:
            disk.write(target, disk.files[source].content)
        case "swap":
            disk.files[source], disk.files[other] = disk.files[other], disk.files[source]
        case "backup" if free:
            disk.rename(source, target)
            disk.write(source, content)
        case _:
            pass  # it cannot be done


def _happen_there(world: World, kind: str, which: tuple[int, int], content: str) -> None:
    server, live = world.server, sorted(world.server.live())
    folder, filename = split(PATHS[which[1]])
    if kind == "there_put":
        server.put(world.new_id(), folder, filename, content)
    if kind == "there_put" or not live:
        return
    one, other = (live[number % len(live)] for number in which)
    first, second = server.documents[one], server.documents[other]
    match kind:
        case "there_edit":
            server.put(one, first.folder, first.filename, content)
        case "there_rename":
            server.put(one, folder, filename, first.content)
        case "there_delete":
            server.delete(one)
        case "there_swap" if one != other:
            server.put(one, second.folder, second.filename, first.content)
            server.put(other, first.folder, first.filename, second.content)
        case _:
            _shift_there(server)


def _shift_there(server: Server) -> None:
    for document, stored in server.live().items():
        if stored.folder == "d":
            server.put(document, "g/d", stored.filename, stored.content)


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

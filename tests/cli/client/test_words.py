"""The small parts of what the command line says: names, sizes, exit codes, progress."""

import pytest

from fixtures.machine import Machine, terminal
from syncapi.cli.client import bars
from syncapi.cli.client.console import Speaker, columns, format_count, format_size
from syncapi.cli.client.sync_output import tell_report
from syncapi.cli.exit_codes import CommandFailed, ExitCode, explanation_of
from syncapi.cli.printable import name_shown, printable
from syncapi.client import errors
from syncapi.client.folder.reports import MirrorReport
from syncapi.protocol.problems import Problem


def problem(status: int) -> Problem:
    return Problem(
        type="urn:syncapi:problem:x",
        title="x",
        status=status,
        detail="What happened.",
        success=False,
        code="x",
        request_id="r1",
        errors=[],
    )


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.Unreachable("x"), ExitCode.UNREACHABLE),
        (errors.error_of(problem(503)), ExitCode.UNREACHABLE),
        (errors.error_of(problem(502)), ExitCode.UNREACHABLE),
        (errors.error_of(problem(500)), ExitCode.FAILED),
        (errors.error_of(problem(401)), ExitCode.UNAUTHORISED),
        (errors.error_of(problem(403)), ExitCode.UNAUTHORISED),
        (errors.error_of(problem(404)), ExitCode.FAILED),
        (errors.error_of(problem(429)), ExitCode.FAILED),
        (errors.SafetyStop("x"), ExitCode.STOPPED),
        (errors.StoreBusy("x"), ExitCode.FAILED),
        (errors.WrongKey("x"), ExitCode.FAILED),
        (errors.ContentMismatch("x"), ExitCode.FAILED),
        (CommandFailed("x", ExitCode.USAGE), ExitCode.USAGE),
        (PermissionError(13, "Permission denied", "/x"), ExitCode.FAILED),
    ],
    ids=lambda value: type(value).__name__,
)
def test_every_failure_has_its_exit_code(error: Exception, code: ExitCode) -> None:
    explanation = explanation_of(error)
    assert explanation is not None
    assert explanation.exit_code is code


def test_a_fault_of_the_program_keeps_its_traceback() -> None:
    assert explanation_of(KeyError("x")) is None


def test_a_failure_says_what_to_do_and_what_to_quote() -> None:
    explanation = explanation_of(errors.error_of(problem(401)))
    assert explanation is not None
    assert explanation.lines() == [
        "syncapi: What happened.",
        "  next: `syncapi login` with a token that is valid",
        "  request id: r1",
    ]


def test_the_system_says_which_file() -> None:
    explanation = explanation_of(OSError(28, "No space left on device", "/disk/file"))
    assert explanation is not None
    assert explanation.message == "/disk/file: No space left on device"


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("plain ünï 日本.txt", "plain ünï 日本.txt"),
        ("\x1b[31mred", r"\x1b[31mred"),
        ("two\nlines", r"two\nlines"),
        ("txt.\u202egpj", r"txt.\u202egpj"),
        ("\udcff", r"\udcff"),
        ("a\u2028b", r"a\u2028b"),
    ],
)
def test_a_name_is_one_harmless_line(name: str, shown: str) -> None:
    assert name_shown(name) == shown


def test_text_keeps_its_lines() -> None:
    assert printable("a\n\tb\r\x07") == "a\n\tb\\r\\x07"


def test_amounts_as_people_say_them() -> None:
    assert [format_size(n) for n in (0, 1023, 1024, 1536 * 1024, 5 * 1024**4)] == [
        *("0 B", "1023 B", "1.0 KiB", "1.5 MiB", "5.0 TiB")
    ]
    assert [format_count(n, "file") for n in (0, 1, 2000)] == ["0 files", "1 file", "2,000 files"]
    assert columns([("a", "bb"), ("ccc", "")]) == ["a    bb", "ccc"]


def test_the_worst_exit_code_stays() -> None:
    speaker = Speaker()
    for code in (ExitCode.CONFLICTS, ExitCode.PARTLY, ExitCode.CONFLICTS, ExitCode.OK):
        speaker.worsen(code)
    assert speaker.exit_code is ExitCode.PARTLY


def test_a_log_gets_a_line_now_and_then(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    ticks = iter(float(second) for second in range(0, 100, 4))
    monkeypatch.setattr("syncapi.cli.client.bars.time.monotonic", lambda: next(ticks))
    with bars.bars_for(Speaker()) as shown:
        shown.begin(10, 1024 * 1024)
        for _ in range(5):
            shown.advance(100 * 1024)
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines() == [
        "0 of 10 files, 200.0 KiB of 1.0 MiB, 16.7 KiB/s, 49 s left",
        "0 of 10 files, 500.0 KiB of 1.0 MiB, 20.8 KiB/s, 25 s left",
    ]


def test_a_terminal_gets_a_bar(machine: Machine) -> None:
    machine.log_in()
    folder = machine.folder("notes")
    (folder / "big").write_bytes(b"x" * (8 << 20))
    with terminal(machine, "sync", folder) as shell:
        seen = shell.read_until_end()
    assert "1 files" in seen
    assert "/8.4 MB" in seen or "/8.0 MiB" in seen
    assert "Sent new 1, 8.0 MiB up. In step." in seen


def test_a_log_gets_no_control_characters(machine: Machine) -> None:
    machine.log_in()
    folder = machine.folder("notes")
    (folder / "big").write_bytes(b"x" * (1 << 20))
    ran = machine("sync", folder)
    assert "\x1b" not in ran.out + ran.err
    assert "\r" not in ran.out + ran.err


def test_what_is_left_is_told_and_is_not_in_step(capsys: pytest.CaptureFixture[str]) -> None:
    """By a sync under which files changed again and again."""
    speaker = Speaker()
    summary = tell_report(speaker, MirrorReport(left=2))
    said = capsys.readouterr().out
    assert "2 left, as files changed meanwhile: sync again." in said
    assert "Not all is in step." in said
    assert (speaker.exit_code, summary["left"]) == (ExitCode.PARTLY, 2)

"""Text that a terminal may be given: file names can hold escape sequences, or be no Unicode."""

import unicodedata

_UNSEEN = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})  # controls, formats, surrogates, separators


def printable(text: str) -> str:
    """Text of several lines, with what does not print written as an escape."""
    return "".join(sign if sign in "\n\t" else _shown(sign) for sign in text)


def name_shown(name: object) -> str:
    """A name or path on one line, with what does not print written as an escape."""
    return "".join(_shown(sign) for sign in str(name))


def _shown(sign: str) -> str:
    if unicodedata.category(sign) not in _UNSEEN:
        return sign
    return sign.encode("unicode_escape", "surrogatepass").decode("ascii")

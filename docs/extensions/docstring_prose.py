"""Let "Returns" and "Yields" be prose: their types stand in the signature, so the section is not a list of types."""

import re

UNDERLINE = re.compile(r"^-{3,}$")
FIELDS = {"Returns": ":returns:", "Yields": ":returns:"}


def _sections(lines: list[str]) -> list[int]:
    return [i for i in range(len(lines) - 1) if lines[i] and UNDERLINE.match(lines[i + 1])]


def process(app, what, name, obj, options, lines: list[str]) -> None:
    starts = _sections(lines)
    for start, end in reversed(list(zip(starts, [*starts, len(lines)][1:], strict=True))):
        field = FIELDS.get(lines[start])
        if field is None:
            continue
        body = lines[start + 2 : end]
        while body and not body[-1].strip():
            body.pop()
        first, *others = body or [""]
        indented = [f"    {line}" if line.strip() else "" for line in others]
        # two empty lines end the section before, so that napoleon leaves the field alone
        lines[start:end] = ["", "", f"{field} {first}", *indented, "", ""]


def setup(app) -> dict[str, bool]:
    app.connect("autodoc-process-docstring", process, priority=100)
    return {"parallel_read_safe": True}

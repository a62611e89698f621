"""A container's output becomes lines, however it comes."""

from __future__ import annotations

import io

import pytest

from emulator.data.tasks.lines import LONGEST, Splitter, read_lines

OUTPUT = b"one\r\n\ntwo\n" + b"x" * (2 * LONGEST + 5) + b"\n\xff\xfe\nlast"
LINES = [b"one", b"", b"two", b"x" * LONGEST, b"x" * LONGEST, b"x" * 5, b"\xff\xfe", b"last"]


def test_a_stream_is_read_in_lines() -> None:
    lines: list[bytes] = []
    read_lines(io.BytesIO(OUTPUT), lines.append)
    assert lines == LINES


@pytest.mark.parametrize("size", [1000, 65536, len(OUTPUT)])
def test_chunks_of_any_size_give_the_same_lines(size: int) -> None:
    lines: list[bytes] = []
    splitter = Splitter(lines.append)
    for start in range(0, len(OUTPUT), size):
        splitter.feed(OUTPUT[start : start + size])
    splitter.end()
    assert lines == LINES

"""Converters in a process of their own: what they give, and what becomes of those that misbehave."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from lash.host.tools import conversion_child
from lash.host.tools.conversion import ConversionError, converted


def converter(folder: Path, body: str) -> Path:
    script = folder / "converter.py"
    script.write_text(f"def convert(data):\n    {body}\n")
    return script


async def test_the_pieces_that_a_converter_gives_are_joined(tmp_path: Path) -> None:
    assert await converted(converter(tmp_path, "yield data; yield b'!'"), b"text") == (b"text!", True)


async def test_of_too_much_output_the_beginning_is_given(tmp_path: Path) -> None:
    most = conversion_child.OUTPUT_BYTES
    output, whole = await converted(converter(tmp_path, "yield b'x' * (15 << 20); yield b'y' * (15 << 20)"), b"")
    assert (len(output), output[-1:], whole) == (most, b"y", False)


REASONS = {
    "raise ValueError('no document')": "no document",
    "raise RuntimeError": "RuntimeError",
    r"raise ValueError('a\nb \ud800')": "a b ?",
    "import os; os.abort()": "it takes too much time or memory",
}


@pytest.mark.parametrize(("body", "reason"), REASONS.items())
async def test_a_converter_that_fails_says_why(tmp_path: Path, body: str, reason: str) -> None:
    with pytest.raises(ConversionError) as caught:
        await converted(converter(tmp_path, body), b"")
    assert str(caught.value) == reason


@pytest.mark.skipif(os.uname().sysname != "Linux", reason="macOS bounds no memory")
async def test_memory_is_bounded(tmp_path: Path) -> None:
    with pytest.raises(ConversionError, match="it takes too much memory"):
        await converted(converter(tmp_path, "yield bytes(2 << 30)"), b"")


async def test_a_cancelled_conversion_leaves_no_process(tmp_path: Path) -> None:
    script = converter(tmp_path, f"open({str(tmp_path / 'begun')!r}, 'w').write(str(__import__('os').getpid()))")
    script.write_text(script.read_text() + "    while True: pass\n")
    work = asyncio.create_task(converted(script, b""))
    while not (tmp_path / "begun").exists() or not (tmp_path / "begun").read_text():
        await asyncio.sleep(0.01)
    work.cancel()
    with pytest.raises(asyncio.CancelledError):
        await work
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "begun").read_text()), 0)


async def test_a_converter_does_not_see_the_secrets_of_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOME_API_KEY", "secret")
    script = converter(tmp_path, "import os; yield repr(dict(os.environ)).encode()")
    output, _ = await converted(script, b"")
    assert b"secret" not in output

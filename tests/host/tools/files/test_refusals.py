"""What no file tool may reach: acceptance 25 of the chapter on tools, for each tool."""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import Any

import pytest

import lash
from lash.host.plugins.read_file import ReadFilePluginFactory
from lash.host.tools.files.glob import Glob
from lash.host.tools.files.ls import Ls
from lash.host.tools.files.policy import FilePolicy
from lash.host.tools.files.read_file import ReadFile
from lash.host.tools.files.resolved import ResolvedPath
from lash.host.tools.files.write_file import WriteFile
from lash.runtime.tools.result import ToolError
from tests.host.tools.files.support import failure_of, policy, tree, value_of

SECRET = "what lies outside"

CALLS: dict[str, dict[str, Any]] = {
    "read_file": {},
    "ls": {},
    "glob": {"pattern": "*"},
    "write_file": {"content": "mine", "create_parents": True},
}
TOOLS = sorted(CALLS)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A root with a file in it, beside a directory with a secret."""
    tree(tmp_path, "root/inside.txt", "root/folder/", "outside/folder/")
    (tmp_path / "outside" / "secret.txt").write_text(SECRET)
    return tmp_path / "root"


def snapshot(folder: Path) -> dict[str, tuple[str, float]]:
    """Everything below a directory: contents and times."""
    return {
        str(path): (path.read_text() if path.is_file() else "", path.stat().st_mtime)
        for path in sorted(folder.rglob("*"))
    }


async def refused(root: Path, tool: str, path: str, **options: Any) -> str:
    """The message of a call that is refused for its path, with nothing outside told or changed."""
    outside = root.parent / "outside"
    before = snapshot(outside)
    failure = await failure_of(policy(root, **{"allow_write": True, **options}), tool, path=path, **CALLS[tool])
    assert (failure.cls, failure.code) == ("permission_denied", "path_not_allowed")
    assert snapshot(outside) == before
    assert SECRET not in failure.message
    return failure.message


@pytest.mark.parametrize("tool", TOOLS)
@pytest.mark.parametrize("path", ["../outside/secret.txt", "folder/../../outside", "..", "./folder/../.."])
async def test_dots_do_not_lead_out(root: Path, tool: str, path: str) -> None:
    message = await refused(root, tool, path)
    assert path in message
    assert str(root) in message


@pytest.mark.parametrize("tool", TOOLS)
@pytest.mark.parametrize("place", ["outside/secret.txt", "outside", "outside/missing.txt"])
async def test_absolute_paths_do_not_lead_out(root: Path, tool: str, place: str) -> None:
    await refused(root, tool, str(root.parent / place))


@pytest.mark.parametrize("tool", TOOLS)
async def test_a_path_that_only_begins_like_the_root_is_not_under_it(root: Path, tool: str) -> None:
    tree(root.parent, "root-too/x")
    await refused(root, tool, str(root.parent / "root-too" / "x"))


@pytest.mark.parametrize("tool", TOOLS)
@pytest.mark.parametrize("target", ["outside/secret.txt", "outside", "outside/missing.txt"])
async def test_a_link_to_something_outside_is_refused_without_naming_it(root: Path, tool: str, target: str) -> None:
    (root / "link").symlink_to(root.parent / target)
    message = await refused(root, tool, "link")
    assert "outside" not in message.removesuffix(f"under {root}")


@pytest.mark.parametrize("tool", TOOLS)
@pytest.mark.parametrize("below", ["secret.txt", "folder", "missing.txt", "missing/deeper.txt"])
async def test_a_path_through_a_link_to_a_directory_outside_is_refused(root: Path, tool: str, below: str) -> None:
    (root / "link").symlink_to(root.parent / "outside")
    await refused(root, tool, f"link/{below}")


@pytest.mark.parametrize("tool", TOOLS)
async def test_a_refusal_does_not_say_whether_the_file_is_there(root: Path, tool: str) -> None:
    there = await refused(root, tool, "../outside/secret.txt")
    missing = await refused(root, tool, "../outside/nothing.txt")
    assert there.replace("secret", "*") == missing.replace("nothing", "*")


@pytest.mark.parametrize("tool", TOOLS)
async def test_dots_after_a_link_outside_do_not_tell_whether_it_is_there(root: Path, tool: str) -> None:
    (root.parent / "outside" / "way").symlink_to(root.parent / "outside" / "folder")
    call: dict[str, Any] = {"path": "../outside/way/../../root/inside.txt", **CALLS[tool]}
    same: dict[str, Any] = {"path": "../outside/none/../../root/inside.txt", **CALLS[tool]}
    allowed = policy(root)
    if tool == "read_file":
        assert await value_of(allowed, tool, **call) == await value_of(allowed, tool, **same)
    else:
        one, two = await failure_of(allowed, tool, **call), await failure_of(allowed, tool, **same)
        assert one.message.replace("way", "*") == two.message.replace("none", "*")


@pytest.mark.parametrize("path", ["a\0b", "a\ud800b"])
def test_a_text_that_is_no_path_is_refused(root: Path, path: str) -> None:
    with pytest.raises(ToolError, match="is not allowed") as raised:
        policy(root).resolve(path)
    assert raised.value.failure.code == "path_not_allowed"


# --- links that are exchanged between check and open ------------------------------------------------


class Exchanging(FilePolicy):
    """A policy in whose hands the world changes right after a path was checked."""

    def resolve(self, path: Any, write: bool = False, base: Any = None) -> ResolvedPath:
        """Check as ever, then put a link to the outside in the place of what was checked."""
        found = super().resolve(path, write, base)
        root = self.roots[0]
        for name in ("inside.txt", "folder"):
            here, there = root / name, root.parent / f"was-{name}"
            if here.exists() and not here.is_symlink():
                here.rename(there)
                here.symlink_to(root.parent / "outside" / ("secret.txt" if name == "inside.txt" else "folder"))
        return found


@pytest.mark.parametrize("tool", TOOLS)
@pytest.mark.parametrize("path", ["inside.txt", "folder", "folder/deep/file.txt"])
async def test_a_link_exchanged_after_the_check_is_not_followed(root: Path, tool: str, path: str) -> None:
    tree(root, "folder/deep/file.txt")
    tree(root.parent, "outside/folder/deep/file.txt")
    outside = root.parent / "outside"
    before = snapshot(outside)
    failure = await failure_of(
        Exchanging([root], allow_write=True, spill_dir=root / "none"), tool, path=path, **CALLS[tool]
    )
    assert failure.code == "path_not_allowed"
    assert SECRET not in failure.message
    assert snapshot(outside) == before


async def test_a_root_exchanged_for_a_link_is_not_followed(root: Path) -> None:
    allowed = policy(root)
    root.rename(root.parent / "was-root")
    root.symlink_to(root.parent / "outside")
    failure = await failure_of(allowed, "read_file", path="secret.txt")
    assert failure.code == "path_not_allowed"


# --- what is neither file nor directory --------------------------------------------------------------


@pytest.mark.parametrize("tool", TOOLS)
async def test_a_pipe_is_refused_at_once(root: Path, tool: str) -> None:
    os.mkfifo(root / "pipe")
    assert "neither a file nor a directory" in await refused(root, tool, "pipe")


@pytest.mark.parametrize("tool", TOOLS)
async def test_a_socket_is_refused(root: Path, tool: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(root)  # the path of a socket has to be short
    with socket.socket(socket.AF_UNIX) as one:
        one.bind("socket")
        await refused(root, tool, "socket")


@pytest.mark.parametrize("tool", TOOLS)
async def test_a_device_is_refused_even_under_a_root(tool: str, tmp_path: Path) -> None:
    allowed = FilePolicy(["/dev"], allow_write=True, spill_dir=tmp_path)
    failure = await failure_of(allowed, tool, path="zero", **CALLS[tool])
    assert failure.code == "path_not_allowed"


@pytest.mark.parametrize("tool", TOOLS)
async def test_a_link_to_a_device_is_refused(root: Path, tool: str) -> None:
    (root / "zero").symlink_to("/dev/zero")
    await refused(root, tool, "zero")


# --- size, deny, writing --------------------------------------------------------------------------


async def test_a_file_that_is_too_large_is_refused_with_both_sizes(root: Path) -> None:
    with (root / "large.pdf").open("wb") as file:
        file.write(b"%PDF-1.7\n")
        file.truncate(65 << 20)
    failure = await failure_of(policy(root), "read_file", path="large.pdf")
    assert failure.code == "file_too_large"
    assert str(65 << 20) in failure.message
    assert str(64 << 20) in failure.message


async def test_too_much_to_write_is_refused_before_anything_is_written(root: Path) -> None:
    allowed = policy(root, allow_write=True, max_write_bytes=10)
    failure = await failure_of(allowed, "write_file", path="new/x", content="ä" * 6, create_parents=True)
    assert failure.code == "file_too_large"
    assert "12" in failure.message
    assert "10" in failure.message
    assert not (root / "new").exists()


@pytest.mark.parametrize("tool", TOOLS)
@pytest.mark.parametrize("deny", ["*.txt", "inside.*", "INSIDE.TXT", "/**/inside.txt", "{inside,other}.txt"])
async def test_what_is_denied_is_refused(root: Path, tool: str, deny: str) -> None:
    await refused(root, tool, "inside.txt", deny=[deny])


@pytest.mark.parametrize("tool", TOOLS)
@pytest.mark.parametrize("deny", ["folder", "folder/", "folder/**", "**/deep/**", "folder/deep"])
async def test_what_lies_in_a_denied_directory_is_denied(root: Path, tool: str, deny: str) -> None:
    tree(root, "folder/deep/x")
    await refused(root, tool, "folder/deep/x", deny=[deny])


@pytest.mark.parametrize("tool", TOOLS)
async def test_a_link_to_something_denied_is_refused(root: Path, tool: str) -> None:
    (root / "harmless").symlink_to("inside.txt")
    await refused(root, tool, "harmless", deny=["inside.txt"])


@pytest.mark.parametrize("tool", TOOLS)
async def test_a_denied_name_of_a_link_is_refused(root: Path, tool: str) -> None:
    (root / "key.pem").symlink_to("inside.txt")
    await refused(root, tool, "key.pem", deny=["*.pem"])


async def test_what_is_denied_is_in_no_listing(root: Path) -> None:
    tree(root, "folder/a.pem", "folder/b", "secrets/c")
    allowed = policy(root, deny=["*.pem", "secrets"])
    listed = await value_of(allowed, "ls")
    assert [item["path"] for item in listed["items"]] == ["folder", "folder/b", "inside.txt"]
    found = await value_of(allowed, "glob", pattern="*")
    assert {item["path"] for item in found["items"]} == {"folder", "folder/b", "inside.txt"}
    assert "secrets" not in await value_of(allowed, "read_file", path=".")


async def test_a_write_under_a_policy_for_reading_is_refused(root: Path) -> None:
    message = await refused(root, "write_file", "inside.txt", allow_write=False)
    assert "can only be read" in message
    assert (root / "inside.txt").read_text() == ""


async def test_only_what_the_globs_allow_can_be_written(root: Path) -> None:
    allowed = policy(root, allow_write=["folder/**/*.md"])
    assert (await value_of(allowed, "write_file", path="folder/a.md", content=""))["created"]
    for path in ("a.md", "folder/a.txt", "folder/../a.md"):
        failure = await failure_of(allowed, "write_file", path=path, content="")
        assert failure.code == "path_not_allowed"
        assert "folder/**/*.md" in failure.message
    assert not (root / "a.md").exists()


# --- what stays allowed, and policies that cannot be -----------------------------------------------


async def test_spilled_outputs_can_be_read_and_not_written(root: Path) -> None:
    spill = root.parent / "spill"
    spill.mkdir(mode=0o700)
    (spill / "whole.txt").write_text("all of it")
    allowed = policy(root, allow_write=True, spill_dir=spill)
    assert await value_of(allowed, "read_file", path=str(spill / "whole.txt")) == "1: all of it"
    failure = await failure_of(allowed, "write_file", path=str(spill / "whole.txt"), content="")
    assert failure.code == "path_not_allowed"


async def test_spilled_outputs_cannot_be_written_under_a_root_that_can(root: Path) -> None:
    tree(root, "spill/x")
    allowed = policy(root, allow_write=True, spill_dir=root / "spill")
    assert (await failure_of(allowed, "write_file", path="spill/x", content="")).code == "path_not_allowed"


async def test_a_link_in_the_place_of_the_spill_directory_is_not_followed(root: Path) -> None:
    (root.parent / "spill").symlink_to(root.parent / "outside")
    allowed = policy(root, spill_dir=root.parent / "spill")
    path = str(root.parent / "spill" / "secret.txt")
    assert (await failure_of(allowed, "read_file", path=path)).code == "path_not_allowed"


async def test_a_spill_directory_of_somebody_else_is_refused(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tree(root.parent, "spill/x")
    allowed = policy(root, spill_dir=root.parent / "spill")
    monkeypatch.setattr(os, "getuid", lambda: 4711)
    path = str(root.parent / "spill" / "x")
    assert (await failure_of(allowed, "read_file", path=path)).code == "path_not_allowed"


@pytest.mark.parametrize("spelling", ["link", "root"])
@pytest.mark.parametrize("tool", TOOLS)
async def test_a_whole_path_is_denied_however_it_is_spelled(root: Path, tool: str, spelling: str) -> None:
    link = root.parent / "link"
    link.symlink_to(root)
    for path in (root / "inside.txt", link / "inside.txt"):
        await refused(link, tool, str(path), deny=[f"{root.parent}/{spelling}/inside.txt"])


async def test_a_whole_path_is_in_no_listing_however_it_is_spelled(root: Path) -> None:
    link = root.parent / "link"
    link.symlink_to(root)
    listed = await value_of(policy(link, deny=[f"{link}/inside.txt"]), "ls")
    assert [item["path"] for item in listed["items"]] == ["folder"]


@pytest.mark.parametrize("tool", TOOLS)
@pytest.mark.parametrize("above", [".", ".."])
async def test_a_root_in_a_denied_directory_has_nothing_to_be_reached(root: Path, tool: str, above: str) -> None:
    await refused(root, tool, "inside.txt", deny=[os.path.normpath(root / above)])


@pytest.mark.parametrize("deny", ["./folder", "folder//x", "folder/./x", "./folder/"])
async def test_a_denied_path_may_be_written_untidily(root: Path, deny: str) -> None:
    tree(root, "folder/x")
    await refused(root, "read_file", "folder/x", deny=[deny])


async def test_each_alternative_of_braces_is_denied_as_if_it_stood_alone(root: Path) -> None:
    tree(root, "folder/.env", "folder/deep/key")
    for path in ("folder/.env", "folder/deep/key"):
        await refused(root, "read_file", path, deny=["{.env,folder/deep/key}"])


async def test_a_path_that_is_too_long_is_refused_before_its_links_are_looked_for(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    allowed = policy(root)
    asked: list[str] = []
    monkeypatch.setattr(os.path, "realpath", asked.append)
    with pytest.raises(ToolError, match="is too long") as raised:
        allowed.resolve("a/" * 500_000)
    assert asked == []
    assert len(str(raised.value)) < 500


@pytest.mark.parametrize("tool", TOOLS)
async def test_a_chain_of_links_without_end_is_refused(root: Path, tool: str) -> None:
    (root / "0").symlink_to("inside.txt")
    for number in range(1, 2000):
        (root / str(number)).symlink_to(str(number - 1))
    await refused(root, tool, "1999")


@pytest.mark.parametrize("make", [ReadFile, Ls, Glob, WriteFile, ReadFilePluginFactory])
@pytest.mark.parametrize("given", [None, "/tmp", True])
def test_a_tool_without_a_policy_is_a_configuration_error(make: Any, given: Any) -> None:
    with pytest.raises(lash.ConfigError) as raised:
        make(given)
    assert raised.value.code == "file_policy_required"


@pytest.mark.parametrize(
    "options",
    [
        *({"deny": [""]}, {"deny": "*.pem"}, {"allow_write": ["/"]}, {"max_read_bytes": 0}),
        *({"deny": ["{1..100000000}"]}, {"deny": ["a/../b"]}, {"deny": ["~/.ssh"]}, {"allow_write": ["."]}),
    ],
)
def test_a_policy_that_makes_no_sense_is_refused(tmp_path: Path, options: Any) -> None:
    with pytest.raises(lash.ConfigError) as raised:
        FilePolicy([tmp_path], **options)
    assert raised.value.code == "invalid_file_policy"


@pytest.mark.parametrize("roots", [[], ["missing"], ["file"]])
def test_roots_have_to_be_directories(tmp_path: Path, roots: list[str]) -> None:
    tree(tmp_path, "file")
    with pytest.raises(lash.ConfigError) as raised:
        FilePolicy([tmp_path / one for one in roots])
    assert raised.value.code == "invalid_file_policy"


def test_a_policy_does_not_change(tmp_path: Path) -> None:
    made = FilePolicy([tmp_path])
    with pytest.raises(AttributeError):
        made.allow_write = True  # type: ignore[misc]


def test_equal_policies_are_equal(tmp_path: Path) -> None:
    assert FilePolicy([tmp_path], deny=["a"]) == FilePolicy(tmp_path, deny=("a",))
    assert FilePolicy([tmp_path], deny=["a"]) != FilePolicy([tmp_path])

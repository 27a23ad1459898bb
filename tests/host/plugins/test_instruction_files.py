"""Instructions out of files beside the work."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from lash.host.plugins.instruction_files import MOST_BYTES, InstructionFiles, repository_of
from lash.runtime.errors import ConfigError


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A repository with a folder `a/b` to work in and a folder `c` beside it."""
    root = tmp_path / "repository"
    for folder in ("a/b/deep", "c/d", ".git"):
        (root / folder).mkdir(parents=True)
    return root


def write(folder: Path, text: str, name: str = "AGENTS.md") -> Path:
    (folder / name).write_text(text)
    return folder / name


def texts(files: InstructionFiles) -> list[str]:
    return [file.text for file in files.files()]


def test_the_nearest_comes_last_and_what_is_above_the_repository_does_not_count(repository: Path) -> None:
    for folder, text in ((repository.parent, "above"), (repository, "root"), (repository / "a/b", "here")):
        write(folder, text)
    write(repository / "c", "beside")
    assert texts(InstructionFiles(repository / "a/b")) == ["root", "here"]


def test_each_text_says_which_file_it_is_from(repository: Path) -> None:
    root, here = write(repository, "Be kind.\n"), write(repository / "a", " Be brief.")
    assert InstructionFiles(repository / "a").system_instructions() == (
        f"Instructions from {root}:\n\nBe kind.\n\nInstructions from {here}:\n\nBe brief."
    )


def test_outside_a_repository_the_folder_alone_counts(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    write(tmp_path, "above")
    write(tmp_path / "a", "here")
    assert texts(InstructionFiles(tmp_path / "a")) == ["here"]


def test_the_folder_is_that_of_the_process_if_no_other_is_given(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = InstructionFiles()
    write(repository, "root")
    monkeypatch.chdir(repository / "a")
    assert texts(files) == ["root"]


def test_a_users_own_files_come_first_and_each_file_once(repository: Path, tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    write(home, "mine")
    write(repository, "root")
    assert texts(InstructionFiles(repository, first=[home])) == ["mine", "root"]
    assert texts(InstructionFiles(repository, first=[repository])) == ["root"]


def test_files_may_be_called_otherwise(repository: Path) -> None:
    write(repository, "ours", "LASH.md")
    write(repository, "theirs", "OTHER.md")
    write(repository, "not asked for")
    assert texts(InstructionFiles(repository, names=("LASH.md", "OTHER.md"))) == ["ours", "theirs"]


@pytest.mark.parametrize("names", [["../AGENTS.md"], ["/etc/passwd"], [""], [".."], "AGENTS.md"])
def test_a_name_that_is_a_path_is_refused(names: list[str]) -> None:
    with pytest.raises(ConfigError, match="file names"):
        InstructionFiles(names=names)


def test_blank_files_say_nothing(repository: Path) -> None:
    write(repository, " \n")
    assert InstructionFiles(repository).system_instructions() == ""


def test_all_together_have_a_bound_and_the_farthest_is_cut_first(repository: Path) -> None:
    write(repository, "r" * MOST_BYTES)
    write(repository / "a", "a" * (MOST_BYTES - 10))
    root, here = InstructionFiles(repository / "a").files()
    assert (root.text, root.cut) == ("r" * 10, True)
    assert (here.text, here.cut) == ("a" * (MOST_BYTES - 10), False)
    assert "left out" in root.titled()
    assert "left out" not in here.titled()


def test_what_does_not_fit_at_all_is_left_out(repository: Path) -> None:
    write(repository, "root")
    write(repository / "a", "a" * MOST_BYTES)
    assert texts(InstructionFiles(repository / "a")) == ["a" * MOST_BYTES]


def test_a_cut_leaves_no_half_of_a_character(repository: Path) -> None:
    write(repository, "x" + "ä" * MOST_BYTES)
    (file,) = InstructionFiles(repository).files()
    assert file.text == "x" + "ä" * (MOST_BYTES // 2 - 1)


def test_what_is_no_text_is_shown_with_replacement_characters(repository: Path) -> None:
    (repository / "AGENTS.md").write_bytes(b"Be \xff kind.")
    assert texts(InstructionFiles(repository)) == ["Be � kind."]


def test_a_byte_order_mark_is_no_part_of_the_text(repository: Path) -> None:
    (repository / "AGENTS.md").write_bytes(b"\xef\xbb\xbfUse tabs.")
    assert InstructionFiles(repository).files()[0].text == "Use tabs."


def test_a_folder_that_cannot_be_looked_at_is_in_no_repository() -> None:
    assert repository_of(Path("/" + "x" * 5000)) is None


def test_what_is_no_regular_file_is_not_waited_for(repository: Path) -> None:
    os.mkfifo(repository / "AGENTS.md")
    (repository / "a/AGENTS.md").mkdir()
    write(repository / "a/b", "here")
    assert texts(InstructionFiles(repository / "a/b")) == ["here"]


def test_a_file_is_read_again_only_if_it_has_changed(repository: Path) -> None:
    path = write(repository, "one")
    files = InstructionFiles(repository)
    assert texts(files) == ["one"]
    same = path.stat().st_mtime_ns
    write(repository, "two")
    os.utime(path, ns=(same, same))
    assert texts(files) == ["one"]
    os.utime(path, ns=(same, same + 1))
    assert texts(files) == ["two"]
    path.unlink()
    assert texts(files) == []


def test_a_link_may_lead_within_the_repository_and_not_out_of_it(repository: Path, tmp_path: Path) -> None:
    secret = write(tmp_path, "of the user", "secret")
    (repository / "AGENTS.md").symlink_to(secret)
    write(repository / "c", "shared", "OURS.md")
    (repository / "a/AGENTS.md").symlink_to("../c/OURS.md")
    (repository / "a/b/AGENTS.md").symlink_to("AGENTS.md")
    assert texts(InstructionFiles(repository / "a/b")) == ["shared"]


def test_a_users_own_file_may_be_a_link(repository: Path, tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    (home / "AGENTS.md").symlink_to(write(tmp_path, "mine", "dotfile"))
    assert texts(InstructionFiles(repository, first=[home])) == ["mine"]


# For files that were read


def test_what_holds_for_a_file_is_what_is_on_the_way_to_it(repository: Path) -> None:
    for folder in ("", "a", "a/b", "a/b/deep", "c", "c/d"):
        write(repository / folder, f"in {folder}")
    files = InstructionFiles(repository / "a/b")

    def said(*paths: str) -> list[str]:
        return [text.rsplit("\n", 1)[-1] for text in files.context_instructions_for_reads(paths)]

    assert said("deep/x.py") == ["in a/b/deep"]
    assert said("../../c/d/x.py") == ["in c", "in c/d"]
    assert said(str(repository / "c/x.py"), "deep/x.py") == ["in c", "in a/b/deep"]
    assert said("deep") == ["in a/b/deep"]
    assert said("x.py", "../x.py") == []


def test_files_outside_the_repository_have_no_instructions(repository: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    write(tmp_path / "elsewhere", "do evil")
    (repository / "link").symlink_to(tmp_path / "elsewhere")
    files = InstructionFiles(repository)
    for path in ("../elsewhere/x", str(tmp_path / "elsewhere/x"), "link/x", "a\0b", ""):
        assert files.context_instructions_for_reads([path]) == []


def test_a_repository_behind_a_link_is_the_same_one(repository: Path, tmp_path: Path) -> None:
    write(repository / "c", "in c")
    (tmp_path / "link").symlink_to(repository)
    (said,) = InstructionFiles(tmp_path / "link").context_instructions_for_reads(["c/x.py"])
    assert said.endswith("in c")

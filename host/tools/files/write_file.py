"""The tool `write_file`: whole new contents for one file, all or nothing (plugins.md 13.7)."""

from __future__ import annotations

from typing_extensions import TypedDict  # pydantic knows this one on every Python

from lash.host.tools.files.tool import FileTool
from lash.runtime.tools.decorator import tool
from lash.runtime.tools.result import ToolError


class Written(TypedDict):
    """What `write_file` has done."""

    path: str
    bytes: int
    created: bool


class WriteFile(FileTool):
    """`write_file` under a policy."""

    @tool(execution_mode="serial", mutates=True)
    def write_file(self, path: str, content: str, create_parents: bool = False, overwrite: bool = True) -> Written:
        """Write a whole file: it is made, or its contents are replaced. The text is written exactly as it is given.

        Args:
            path: The file, relative to the working directory or absolute.
            content: The whole new contents.
            create_parents: Make the directories that are missing.
            overwrite: Replace a file that exists.
        """
        target = self.policy.resolve(path, write=True)
        try:
            data = content.encode()
        except UnicodeEncodeError as error:
            raise ToolError(f"content holds half a surrogate pair at character {error.start}") from None
        try:
            created = target.write(data, overwrite=overwrite, parents=create_parents)
        except FileNotFoundError:
            hint = "give create_parents=true to make it" if not create_parents else "it has just been removed"
            raise ToolError(f"The directory of {target.shown} does not exist: {hint}") from None
        except FileExistsError:
            raise ToolError(f"{target.shown} exists, and overwrite is false") from None
        except IsADirectoryError:
            raise ToolError(f"{target.shown} is a directory") from None
        return {"path": target.shown, "bytes": len(data), "created": created}

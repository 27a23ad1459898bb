# The part of msgpack that is used here; the distribution carries no types. What comes out of unpacking is `object`,
# so that nothing read from outside is used before it was checked.

from collections.abc import Callable
from typing import NamedTuple

class ExtType(NamedTuple):
    code: int
    data: bytes

class UnpackException(Exception): ...
class BufferFull(UnpackException): ...
class OutOfData(UnpackException): ...
class FormatError(ValueError, UnpackException): ...
class StackError(ValueError, UnpackException): ...

class ExtraData(ValueError):
    unpacked: object
    extra: bytes

class Packer:
    def __init__(
        self,
        *,
        default: Callable[[object], object] | None = None,
        use_bin_type: bool = True,
        use_single_float: bool = False,
        autoreset: bool = True,
        strict_types: bool = False,
        datetime: bool = False,
        unicode_errors: str | None = None,
        buf_size: int = ...,
    ) -> None: ...
    def pack(self, obj: object, /) -> bytes: ...
    def pack_array_header(self, n: int, /) -> bytes: ...
    def pack_map_header(self, n: int, /) -> bytes: ...
    def pack_ext_type(self, typecode: int, data: bytes, /) -> bytes | None: ...
    def bytes(self) -> bytes: ...
    def reset(self) -> None: ...
    def getbuffer(self) -> memoryview: ...

class Unpacker:
    def __init__(
        self,
        *,
        use_list: bool = True,
        raw: bool = False,
        timestamp: int = 0,
        strict_map_key: bool = True,
        object_hook: Callable[[dict[object, object]], object] | None = None,
        object_pairs_hook: Callable[[list[tuple[object, object]]], object] | None = None,
        list_hook: Callable[[list[object]], object] | None = None,
        ext_hook: Callable[[int, bytes], object] = ...,
        unicode_errors: str | None = None,
        max_buffer_size: int = ...,
        max_str_len: int = ...,
        max_bin_len: int = ...,
        max_array_len: int = ...,
        max_map_len: int = ...,
        max_ext_len: int = ...,
    ) -> None: ...
    def feed(self, next_bytes: bytes | bytearray | memoryview, /) -> None: ...
    def unpack(self) -> object: ...
    def skip(self) -> None: ...
    def read_bytes(self, n: int, /) -> bytes: ...
    def read_array_header(self) -> int: ...
    def read_map_header(self) -> int: ...
    def tell(self) -> int: ...
    def __iter__(self) -> Unpacker: ...
    def __next__(self) -> object: ...

def packb(
    o: object,
    *,
    default: Callable[[object], object] | None = None,
    use_bin_type: bool = True,
    use_single_float: bool = False,
    strict_types: bool = False,
    datetime: bool = False,
    unicode_errors: str | None = None,
) -> bytes: ...
def unpackb(
    packed: bytes | bytearray | memoryview,
    *,
    use_list: bool = True,
    raw: bool = False,
    timestamp: int = 0,
    strict_map_key: bool = True,
    object_hook: Callable[[dict[object, object]], object] | None = None,
    object_pairs_hook: Callable[[list[tuple[object, object]]], object] | None = None,
    list_hook: Callable[[list[object]], object] | None = None,
    ext_hook: Callable[[int, bytes], object] = ...,
    unicode_errors: str | None = None,
    max_str_len: int = ...,
    max_bin_len: int = ...,
    max_array_len: int = ...,
    max_map_len: int = ...,
    max_ext_len: int = ...,
) -> object: ...

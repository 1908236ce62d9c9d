"""A body that is a file: it goes to the disk while it comes in, and its request names it.

Before any of it is taken the request is tried without it: who may not send it, or has to send it elsewhere, is answered at once. Who may is
bounded by the disk alone; of whom only the lane can tell (a token of few uses, say), by what the listener lets everybody send.

Invariants: (1) at most UPLOAD_PIECE_BYTES and one read of it are in memory; (2) its file is its owner's alone, and is gone when its request
has been answered, when its client has left before the end, and when the node starts anew; (3) as full as the disk is when it begins,
UPLOAD_SPARE_BYTES of that stay free.
"""
import os
import shutil
from collections.abc import Callable
from enum import Enum, auto
from pathlib import Path

from msgspec.structs import replace

from holdfast.engine import Request
from holdfast.http.body import Refused, too_large
from holdfast.limits import HTTP_CHUNKS_MAX, UPLOAD_CHUNKS_MAX, UPLOAD_MAX_BYTES, UPLOAD_PIECE_BYTES, UPLOAD_SPARE_BYTES

FOLDER = "uploads"


class Admission(Enum):
    """What the request is, as far as this process can tell without the body."""

    ALLOWED = auto()                                 # by policy, and here is where it will be carried out
    OPEN = auto()                                    # only the lane can tell
    ANSWERED = auto()                                # its answer does not depend on the body


class Spool:
    """The file of one request. `request` is None where none could be made; with `is_declined` nothing is written."""

    def __init__(self, request: Request | None, path: Path, limit: int, chunks_max: int, refusal: Refused, *,
                 is_declined: bool = False) -> None:
        self.request, self.limit, self.chunks_max, self.is_declined = request, limit, chunks_max, is_declined
        self._path, self._refusal = path, refusal
        self._pieces: list[bytes] = []
        self.kept_bytes = 0

    @property
    def is_full(self) -> bool:
        """`store` is due."""
        return self.kept_bytes >= UPLOAD_PIECE_BYTES

    def too_large(self) -> Refused:
        return self._refusal

    def write(self, piece: bytes) -> None:
        self._pieces.append(piece)
        self.kept_bytes += len(piece)

    def store(self) -> None:
        """What has come goes to the disk; may run in a thread, while nothing else is called here. Raises Refused: there is no room."""
        pieces, self._pieces, self.kept_bytes = self._pieces, [], 0
        try:
            with open(self._path, "ab", opener=_for_its_owner) as file:
                for piece in pieces:
                    file.write(piece)
        except OSError as error:
            raise Refused(413, f"the body cannot be kept: {error.strerror}") from error

    def content(self) -> "Spool":
        """All of it is in the file. Raises Refused."""
        self.store()
        return self

    def remove(self) -> None:
        self._path.unlink(missing_ok=True)


class Uploads:
    """Of one listener's process. `folder`: see `prepare`."""

    def __init__(self, folder: Path, admission: Callable[[Request], Admission]) -> None:
        self._folder, self._admission = folder, admission

    def begin(self, request: Request, ordinary_max: int) -> Spool:
        """For the body of this request, which has none yet. Raises Refused."""
        request = replace(request, upload=True)
        path = self._folder / request.id
        match self._admission(request):
            case Admission.ANSWERED:
                return declined(request)
            case Admission.OPEN:
                return Spool(request, path, ordinary_max, HTTP_CHUNKS_MAX, too_large(ordinary_max))
            case Admission.ALLOWED:
                limit = min(UPLOAD_MAX_BYTES, self._room())
                refusal = Refused(413, f"http: request body too large: there is room for {limit} bytes")
                return Spool(request, path, limit, UPLOAD_CHUNKS_MAX, refusal)

    def _room(self) -> int:
        try:
            return max(0, shutil.disk_usage(self._folder).free - UPLOAD_SPARE_BYTES)
        except OSError as error:
            raise Refused(503, f"the body cannot be kept: {error.strerror}") from error


def declined(request: Request | None) -> Spool:
    """Answered without its body."""
    return Spool(request, Path(), 0, 0, too_large(0), is_declined=True)


def prepare(folder: Path) -> Path:
    """The folder of a node's uploads, empty, within its data folder. Only while none of its processes listens. Raises OSError."""
    uploads = folder / FOLDER
    shutil.rmtree(uploads, ignore_errors=True)           # of a process that was killed
    uploads.mkdir(mode=0o700, parents=True, exist_ok=True)
    return uploads


def _for_its_owner(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)

"""What the API server may answer, sorted by what the caller has to do about it."""


class KubeError(Exception):
    """Anything that went wrong with a call; retried with back-off unless it is one of the below."""

    # Whether the same call would be answered in the same way again.
    lasting = False

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


class NotFoundError(KubeError):
    """The object isn't there (any more)."""


class ConflictError(KubeError):
    """The world has moved since it was read: read again."""


class RefusedError(KubeError):
    """The API server understood the object and won't have it: trying again changes nothing."""

    lasting = True


class UnreachableError(KubeError):
    """No answer at all."""


def from_status(status: int, message: str) -> KubeError:
    kinds: dict[int, type[KubeError]] = {
        400: RefusedError,
        403: RefusedError,
        404: NotFoundError,
        409: ConflictError,
        413: RefusedError,
        422: RefusedError,
    }
    return kinds.get(status, KubeError)(status, message)

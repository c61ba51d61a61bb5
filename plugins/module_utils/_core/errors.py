# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection. An error renders its own fail_json arguments.

from __future__ import annotations

from typing import Any

Json = dict[str, Any]

SERVER_ERRORS = range(500, 600)  # the outcome of a write is unknown

FOR_ALL = {401, 403, 405, 429}  # refused again for the next of the kind

DENIED = {"AccessDenied", "AccessDeniedException", "UnauthorizedOperation"}
EXPIRED = {"ExpiredToken", "ExpiredTokenException", "RequestExpired"}


class CollectionError(Exception):
    def as_result(self) -> Json:
        return {"msg": str(self)}


class InputError(CollectionError):
    """The options contradict each other or what exists; nothing was changed."""


class ConflictError(CollectionError):
    """What exists belongs to somebody else or is ambiguous; nothing was changed."""


class SupersededError(CollectionError):
    """Another run has written since the thing was read; nothing was changed."""


class IgnoredFieldError(CollectionError):
    """RunPod accepted a write and did not do all of it; `thing` is what it holds now."""

    def __init__(self, message: str, thing: Json) -> None:
        super().__init__(message)
        self.thing = thing


class TransportError(CollectionError):
    """No answer came: the outcome of a write is unknown."""


class ApiError(CollectionError):
    """`problem` is the parsed problem+json document, {} when the body was something else."""

    def __init__(self, message: str, status: int, problem: Json | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.problem = problem or {}

    def as_result(self) -> Json:
        return {"msg": str(self), "status": self.status, "problem": self.problem}


class NotFoundError(ApiError):
    """Not there, or not visible for this key: only the caller knows whether that means absent."""


class RegistryError(CollectionError):
    """`status` is None when the registry did not answer."""

    def __init__(self, message: str, status: int | None = None, code: str = "", text: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.text = text

    def as_result(self) -> Json:
        return {"msg": str(self), "error": {"status": self.status, "code": self.code, "message": self.text}}


class BlobStoreError(RegistryError):
    """The host to which a registry sends for a blob failed; the registry answered."""


class SkopeoError(CollectionError):
    """`text` is what skopeo said."""

    def __init__(self, message: str, text: str = "") -> None:
        super().__init__(message)
        self.text = text

    def as_result(self) -> Json:
        return {"msg": str(self), "error": {"message": self.text}}


class AwsError(CollectionError):
    """`status` None means no answer: the outcome of a write is unknown."""

    def __init__(self, message: str, call: str, code: str, text: str, status: int | None = None) -> None:
        super().__init__(message)
        self.call = call
        self.code = code
        self.text = text
        self.status = status

    def as_result(self) -> Json:
        return {"msg": str(self), "error": {"call": self.call, "code": self.code, "message": self.text}}


def concerns_all(error: CollectionError) -> bool:
    return isinstance(error, TransportError) or (isinstance(error, ApiError) and error.status in FOR_ALL)


# IAM is eventually consistent: what AWS answers about a key or right that is too young.
NOT_YET = frozenset({"InvalidClientTokenId", "UnrecognizedClientException", *DENIED})


class NothingChangedError(CollectionError):
    """What is wanted cannot be done, and that was found before the first write."""

    def __init__(self, cause: CollectionError) -> None:
        super().__init__(f"Nothing was changed. {cause}")
        self.cause = cause

    def as_result(self) -> Json:
        return {**self.cause.as_result(), "msg": str(self)}

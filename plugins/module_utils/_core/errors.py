# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: every failure it can name. An error renders its own fail_json arguments.

from __future__ import annotations

from typing import Any

Json = dict[str, Any]

SERVER_ERRORS = range(500, 600)  # after one of them, the outcome of a write is unknown

FOR_ALL = {401, 403, 405, 429}  # refusals that the next call of the kind would get too

# Codes of AWS
DENIED = {"AccessDenied", "AccessDeniedException", "UnauthorizedOperation"}
EXPIRED = {"ExpiredToken", "ExpiredTokenException", "RequestExpired"}


class CollectionError(Exception):
    """A failure with cause and remedy; the base of all errors of this collection."""

    def as_result(self) -> Json:
        """Return the arguments for fail_json. They never hold a secret."""
        return {"msg": str(self)}


class InputError(CollectionError):
    """The options contradict each other or what exists; nothing was changed."""


class ConflictError(CollectionError):
    """What exists belongs to somebody else or is ambiguous; nothing was changed."""


class IgnoredFieldError(CollectionError):
    """RunPod accepted a write and did not do all of it. `thing` is what it holds now."""

    def __init__(self, message: str, thing: Json) -> None:
        super().__init__(message)
        self.thing = thing


class TransportError(CollectionError):
    """No answer: the name, the connection, TLS or the timeout failed. The outcome of a write is unknown."""


class ApiError(CollectionError):
    """RunPod answered with an error status.

    `problem` is the parsed problem+json document, or an empty dict when the body was something else.
    """

    def __init__(self, message: str, status: int, problem: Json | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.problem = problem or {}

    def as_result(self) -> Json:
        return {"msg": str(self), "status": self.status, "problem": self.problem}


class NotFoundError(ApiError):
    """404: not there, or not visible for this key. Only the caller knows whether that means absent."""


class RegistryError(CollectionError):
    """A container registry answered with an error (`status`, `code`), or did not answer (then `status` is None)."""

    def __init__(self, message: str, status: int | None = None, code: str = "", text: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.text = text

    def as_result(self) -> Json:
        return {"msg": str(self), "error": {"status": self.status, "code": self.code, "message": self.text}}


class BlobStoreError(RegistryError):
    """The host that a registry sends to for a blob answered with an error, or did not answer; the registry did."""


class SkopeoError(CollectionError):
    """skopeo is missing, too old, or failed; `text` is what it said."""

    def __init__(self, message: str, text: str = "") -> None:
        super().__init__(message)
        self.text = text

    def as_result(self) -> Json:
        return {"msg": str(self), "error": {"message": self.text}}


class AwsError(CollectionError):
    """AWS refused a call, or did not answer it (then `status` is None and the outcome of a write is unknown)."""

    def __init__(self, message: str, call: str, code: str, text: str, status: int | None = None) -> None:
        super().__init__(message)
        self.call = call
        self.code = code
        self.text = text
        self.status = status

    def as_result(self) -> Json:
        return {"msg": str(self), "error": {"call": self.call, "code": self.code, "message": self.text}}


def concerns_all(error: CollectionError) -> bool:
    """Return whether the next thing would fail at RunPod like this one."""
    return isinstance(error, TransportError) or (isinstance(error, ApiError) and error.status in FOR_ALL)


# What AWS answers while a new key or a new right has not arrived everywhere (IAM is eventually consistent).
NOT_YET = frozenset({"InvalidClientTokenId", "UnrecognizedClientException", *DENIED})


class NothingChangedError(CollectionError):
    """What is wanted cannot be done, and that was found before the first write."""

    def __init__(self, cause: CollectionError) -> None:
        super().__init__(f"Nothing was changed. {cause}")
        self.cause = cause

    def as_result(self) -> Json:
        return {**self.cause.as_result(), "msg": str(self)}

# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: the file of docker login, which podman, skopeo, kubelets and most others read.

from __future__ import annotations

import fcntl
import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from .._aws.ecr_token import Token
from .._core.errors import ConflictError, InputError, Json, SupersededError
from .._core.masking import printable
from . import auths
from .target import OURS, Registries, SinkState

OPTIONS: Json = {"path": {"type": "path", "default": "~/.docker/config.json"}}
MODE = 0o600
FOLDER_MODE = 0o700


# The document: our metadata stand beside `auths`, where a login by another tool leaves them out.


def parse_document(text: str, place: str) -> Json:
    """Raise ConflictError for what is none, without repeating it."""
    document = auths.parsed(text, OURS)
    if document is None:
        raise ConflictError(f"{place} is not the JSON that docker login writes: mend it, or name another one.")
    return document


def require_no_helper(document: Json, hosts: tuple[str, ...], place: str) -> None:
    """Raise ConflictError where a credential helper is asked in place of `auths`."""
    helpers = document.get("credHelpers")
    for host in hosts:
        named = helpers.get(host) if isinstance(helpers, dict) else None
        where, name = ("credHelpers", named) if named else ("credsStore", document.get("credsStore"))
        if name:
            raise ConflictError(
                f"{place} leaves {host} to the credential helper docker-credential-{printable(name)}, so a token in it "
                f"would not be used: take it out of {where} there, or name another file."
            )


def entries_of(document: Json, hosts: tuple[str, ...]) -> list[auths.Entry]:
    return auths.entries(document.get("auths") or {}, document.get(OURS) or {}, hosts)


def with_token(document: Json, hosts: tuple[str, ...], token: Token, made_by: str) -> Json:
    return {
        **document,
        "auths": auths.with_token(document.get("auths") or {}, hosts, token),
        OURS: {**(document.get(OURS) or {}), **auths.metadata_of(hosts, token, made_by)},
    }


def without(document: Json, hosts: tuple[str, ...]) -> Json:
    """Return the document without the hosts; parts that become empty go."""
    parts = {key: auths.without(document.get(key) or {}, hosts) for key in ("auths", OURS)}
    rest = {key: value for key, value in document.items() if key not in parts}
    return {**rest, **{key: part for key, part in parts.items() if part}}


# The file


class DockerConfig:
    def __init__(self, options: Json, registries: Registries) -> None:
        self.path = Path(options["path"]).expanduser()
        self.hosts = registries.hosts
        if not self.path.name or self.path.is_dir():
            raise InputError(f"docker_config.path is {self.path}, a folder: name the file in it, such as config.json.")

    @property
    def label(self) -> str:
        return str(self.path)

    def read(self) -> SinkState:
        text = self._text()
        document = parse_document(text or "", self.label)
        require_no_helper(document, self.hosts, self.label)
        found = entries_of(document, self.hosts)
        state = auths.state_of(found, self.expected(SinkState(None)))
        open_to_others = text is not None and self.path.stat().st_mode & 0o077 != 0
        return state._replace(drift=state.drift or open_to_others, retained=self._retained(found), raw=text)

    def expected(self, state: SinkState) -> Json:
        return {"path": str(self.path)}

    def write(self, state: SinkState, token: Token, made_by: str) -> SinkState:
        with self._alone():
            self._require_unchanged(state)
            document = with_token(parse_document(state.raw or "", self.label), self.hosts, token, made_by)
            self._replace(document)
        return self.read()

    def remove(self, state: SinkState) -> None:
        with self._alone():
            self._require_unchanged(state)
            document = without(parse_document(state.raw or "", self.label), self.hosts)
            if document or self.path.is_symlink():
                self._replace(document)
            else:
                self.path.unlink(missing_ok=True)

    def _retained(self, found: list[auths.Entry]) -> str:
        hosts = " and ".join(auths.foreign(found))
        return f"{self.label} keeps its entry for {hosts}: something else has written it." if hosts else ""

    def _text(self) -> str | None:
        try:
            return self.path.read_text(encoding="utf-8")
        except FileNotFoundError:
            return None
        except (OSError, UnicodeDecodeError) as error:
            raise ConflictError(f"{self.label} cannot be read: {reason(error)}.") from error

    def _require_unchanged(self, state: SinkState) -> None:
        if self._text() != state.raw:
            raise SupersededError(f"Something else goes on writing {self.label}: run again when it is done.")

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Keep other runs out by a lock on the folder, which leaves nothing behind."""
        folder = self.path.resolve().parent
        try:
            folder.mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)
            lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        except OSError as error:
            raise ConflictError(f"{folder} cannot be used: {reason(error)}.") from error
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
        finally:
            os.close(lock)

    def _replace(self, document: Json) -> None:
        """Replace the file at once, for its owner only; a link stays, and what it leads to is replaced."""
        target = self.path.resolve()
        try:
            handle, name = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)  # mode 0600
            try:
                with os.fdopen(handle, "w", encoding="utf-8") as file:
                    file.write(json.dumps(document, indent="\t") + "\n")
                keep_owner(target, name)
                os.replace(name, target)
            except BaseException:
                os.unlink(name)
                raise
        except OSError as error:
            raise ConflictError(f"{self.label} cannot be written: {reason(error)}.") from error


def keep_owner(former: Path, made: str) -> None:
    with suppress(FileNotFoundError, PermissionError):
        status = former.stat()
        os.chown(made, status.st_uid, status.st_gid)


def reason(error: Exception) -> str:
    return printable(getattr(error, "strerror", None) or "it is no text")

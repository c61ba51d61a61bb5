# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: the lock for changes of a pull user. It is a part of its entry's value, since only the
# secret store takes a write on condition that nobody else has written. Whoever takes it reads the entry first, so that
# what was read after it stays true until the release. One not renewed within propagation_timeout belongs to a dead run.

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, NamedTuple

from .._aws.client import Aws
from .._aws.secret_entry import Entry, KeyReservation, is_young
from .._aws.secret_store import SecretStore
from .._core.errors import ConflictError
from .principal import USER, Principal


class KeyContext(NamedTuple):
    """`propagation_timeout` is how many seconds something new may take to arrive everywhere."""

    aws: Aws
    store: SecretStore
    user: str
    propagation_timeout: float

    @property
    def principal(self) -> Principal:
        return Principal(USER, self.user)

    def deadline(self) -> datetime:
        return self.aws.clock() + timedelta(seconds=self.propagation_timeout)


class LockLostError(ConflictError):
    """Another run has written the entry: look again."""


class EntryLock:
    def __init__(self, context: KeyContext, entry: Entry | None) -> None:
        """Take the lock, making a missing entry. Raise LockLostError when another run was faster."""
        self.context = context
        if entry is None:
            now = context.aws.clock()
            reservation = KeyReservation(now, (), abandoned=True)
            self._keep(context.store.create(context.user, Entry("", pending=reservation, lock=now)))
        else:
            self.entry = entry
            self.write()

    def write(self, **changes: Any) -> None:
        wanted = self.entry._replace(**{"lock": self.context.aws.clock(), **changes})
        self._keep(self.context.store.put(self.entry, wanted))

    def check(self) -> None:
        """Raise LockLostError when another run may have taken over."""
        if not is_young(self.entry.lock, self.context.aws.clock(), self.context.propagation_timeout):
            raise self._lost()

    def release(self) -> None:
        """Let the next run begin, unless the last write did."""
        if self.entry.lock:
            self.write(lock=None)

    def delete(self) -> None:
        """Remove entry and lock; it is not released even when the answer is lost."""
        self.entry = self.entry._replace(lock=None)
        self.context.store.delete()

    def _keep(self, entry: Entry | None) -> None:
        if entry is None:
            raise self._lost()
        self.entry = entry

    def _lost(self) -> LockLostError:
        return LockLostError(
            f"The secret store refuses to write the entry {self.context.store.name}. It may still be being deleted, or "
            "somebody has restored a former version of it; then write its value anew. Run again."
        )

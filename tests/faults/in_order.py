# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Requests in the thread of their run and one after the other, so that a seed means the same each time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

from ansible_collections.gpuops.runpod.plugins.module_utils._runpod import client
from ansible_collections.gpuops.runpod.plugins.module_utils._workload import audit_look, look, pull_look


def at_hand(dummy: float | None, call: Callable[[], Any], *others: Any) -> Any:
    """Stands in the place of the wait for an answer in another thread."""
    return call()


class OneAfterTheOther:
    """Stands in the place of a pool of threads, so that a seed is the same meeting each time."""

    def __init__(self, dummy: int) -> None: ...

    def submit(self, call: Callable[..., Any], *given: Any) -> Future[Any]:
        done: Future[Any] = Future()
        try:
            done.set_result(call(*given))
        except Exception as error:  # who waits for the result gets it
            done.set_exception(error)
        return done

    def map(self, call: Callable[..., Any], *given: Any) -> Iterator[Any]:
        return map(call, *given)

    def __enter__(self) -> OneAfterTheOther:
        return self

    def __exit__(self, *dummy: object) -> None: ...


@contextmanager
def in_order() -> Iterator[None]:
    with (
        patch.object(client, "within", at_hand),
        patch.object(look, "ThreadPoolExecutor", OneAfterTheOther),
        patch.object(audit_look, "ThreadPoolExecutor", OneAfterTheOther),
        patch.object(pull_look, "ThreadPoolExecutor", OneAfterTheOther),
    ):
        yield

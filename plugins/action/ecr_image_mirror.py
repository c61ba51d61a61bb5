# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Runs the module, and shows meanwhile how far it is: a module cannot write to the terminal. It waits for lines in a
# file of the task's private directory, so that runs on other hosts and in the background are quiet.

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from threading import Event, Thread
from typing import IO, Any

from ansible.plugins.action.normal import ActionModule as Normal
from ansible.utils.display import Display

from ansible_collections.gpuops.runpod.plugins.module_utils._oci.progress import FILE

WAIT = 0.5  # seconds before another look

display = Display()


class ActionModule(Normal):
    """The action's entry point for Ansible."""

    def run(self, tmp: None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        host = (task_vars or {}).get("inventory_hostname", "")
        with nullcontext() if self._quiet() else showing(self._file(), host):
            return super().run(tmp, task_vars)

    def _quiet(self) -> bool:
        """Return whether nothing is to be shown, or the module does not run here and now, as this user."""
        hidden = self._task.no_log or self._task.check_mode
        elsewhere = self._connection.transport != "local" or self._is_become_unprivileged()
        return bool(hidden or elsewhere or self._task.async_val)

    def _file(self) -> Path:
        """Return where the module will look for the file; Ansible removes the directory when the task ends."""
        if self._connection._shell.tmpdir is None:
            self._make_tmp_path()
        return Path(self._connection._shell.tmpdir) / FILE


@contextmanager
def showing(path: Path, host: str) -> Iterator[None]:
    """Show the lines that are written to a new file, until the end."""
    with os.fdopen(os.open(path, os.O_RDONLY | os.O_CREAT | os.O_EXCL, 0o600), errors="replace") as stream:
        ended = Event()
        thread = Thread(target=show, args=(stream, host, ended), daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()


def show(stream: IO[str], host: str, ended: Event) -> None:
    """Show each line of a stream, and look for more until this is ended."""
    last = False
    while not last:
        last = ended.wait(WAIT)
        for line in stream:
            display.display(f"[{host}] {line.rstrip()}")

# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What AWS would say of a request, by an evaluator that honours resources, principals and conditions."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from threading import Lock
from typing import Any, NamedTuple

Json = dict[str, Any]
Request = tuple[str, str] | tuple[str, str, tuple[tuple[str, str], ...]]

SCRIPT = Path(__file__).with_name("judge.cjs")
ONE_AT_A_TIME = Lock()
EVALUATOR = Path(sys.prefix) / "npm"  # where tools/bootstrap puts it


class Who(NamedTuple):
    """Somebody who asks: an ARN, or None for nobody known, with what AWS tells of him and his own policy, if any."""

    principal: str | None
    policy: Json | None = None
    context: dict[str, str] = {}
    boundary: Json | None = None


def allowed(who: Who, requests: Iterable[Request], resource_policy: Json | None = None) -> set[Request]:
    """Return those requests that AWS would allow when this policy is on all the resources.

    Each is an action and an ARN, and may have condition keys with their values. Without a policy of the resources,
    their owners are taken to agree to everything.
    """
    asked = list(requests)
    [verdicts] = ask(cases=[{**who._asdict(), "resource_policy": resource_policy, "requests": asked}])["verdicts"]
    return {request for request, verdict in zip(asked, verdicts, strict=True) if verdict}


def findings(kind: str, document: Json) -> list[Json]:
    """Return what the evaluator's linter has to say of an `identity` or a `resource` policy."""
    [found] = ask(lint=[(kind, document)])["findings"]
    return found


@cache
def every_action() -> list[str]:
    """Return all actions of all services of AWS."""
    return ask()["actions"]


def ask(**question: Any) -> Any:
    with ONE_AT_A_TIME:
        process = evaluator()
        assert process.stdin and process.stdout
        process.stdin.write(json.dumps(question) + "\n")
        process.stdin.flush()
        answer = process.stdout.readline()
    assert answer, "the evaluator gave up, see its words above"
    return json.loads(answer)


def node() -> str:
    """Return the Node.js that tools/bootstrap has installed, if it did, else that on PATH."""
    found = shutil.which(str(Path(sys.prefix) / "bin" / "node")) or shutil.which("node")
    assert found, "no Node.js: run tools/bootstrap test"
    return found


@cache
def evaluator() -> subprocess.Popen[str]:
    """Start the evaluator, which ends when its input does, with this process, and knows of no cloud."""
    command = [node(), SCRIPT, EVALUATOR]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env={})

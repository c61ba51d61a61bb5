# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tries the collection on real accounts, with throw-away things: `make live`, or `python -m tools.live`."""

from __future__ import annotations

import argparse
import os
import secrets
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from types import FrameType

ROOT = Path(__file__).resolve().parents[2]
sys.path.append(str(ROOT / "playbooks" / "collections"))

from .check import Check, ansible_playbook
from .cleaning import PREFIX, clean
from .clouds import UNKNOWN, Clouds, code_of
from .report import report, scrubbed

BEFORE = """\
This tries gpuops.runpod on your accounts of AWS (region {region}) and RunPod. It makes, and removes again:

  AWS     ECR repository     {prefix}   with an image of a few bytes
          IAM users          {prefix}, {prefix}-probe   in /runpod/, each with a key
          IAM role           {prefix}-probe   in /runpod/, which this account may assume
          secret             runpod-ecr/{prefix}
  RunPod  registry credentials, templates, delegations and one endpoint that may have no worker, all named {prefix}…

No GPU is rented and no worker started. The cost is that of one secret for some minutes: less than 0.01 USD.
It takes about five minutes. What exists is not touched. Whatever happens, what was made is removed; if this process is
killed at once (SIGKILL, power), then by: make live LIVE="--clean {prefix}"
"""
NEEDED = "AWS credentials that may make users and repositories (a test account's administrator), and RUNPOD_API_KEY"


def main(arguments: list[str], environment: Mapping[str, str], ask: Callable[[str], str] = input) -> int:
    options = parsed(arguments)
    region = environment.get("AWS_REGION") or environment.get("AWS_DEFAULT_REGION")
    if not region or not environment.get("RUNPOD_API_KEY"):
        print(f"Set AWS_REGION and RUNPOD_API_KEY. This needs {NEEDED}.", file=sys.stderr)
        return 2
    clouds = Clouds(environment, region)
    if options.clean:
        return cleaned(clouds, options.clean)
    prefix = f"gpuops-live-{secrets.token_hex(4)}"
    print(BEFORE.format(region=region, prefix=prefix))
    if not options.yes and not agreed(ask):
        print("Nothing was made.")
        return 1
    with interruptible() as hold:
        play, bound = ansible_playbook(environment), (options.boundary, options.patient)
        check = Check(clouds, prefix, play, teller(clouds), *bound, hold=hold)
        outcome = check.run()
    text = scrubbed(report(outcome, region, date.today()), clouds.secrets)
    options.report.parent.mkdir(parents=True, exist_ok=True)
    options.report.write_text(text)
    print(f"\n{text.splitlines()[0][2:]}. The report: {options.report}")
    return 0 if outcome.passed else 1


def parsed(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tools.live", description=__doc__)
    parser.add_argument("--yes", action="store_true", help="do not ask before it starts")
    parser.add_argument(
        "--report", type=Path, default=ROOT / "live-report.md", metavar="FILE", help="of what was found"
    )
    parser.add_argument(
        "--boundary", default="", metavar="ARN", help="permissions boundary of users and role, if one is due"
    )
    parser.add_argument(
        "--patient", action="store_true", help="wait 16 minutes to see whether a token outlives its session"
    )
    parser.add_argument(
        "--clean", type=prefix_of_a_run, metavar="PREFIX", help="only remove what a killed run has left"
    )
    return parser.parse_args(arguments)


def prefix_of_a_run(text: str) -> str:
    if not PREFIX.fullmatch(text):
        raise argparse.ArgumentTypeError(f"{text} is no prefix of a live check, such as gpuops-live-0a1b2c3d")
    return text


def agreed(ask: Callable[[str], str]) -> bool:
    try:
        return ask("Go on? (yes/no) ").strip().lower() in ("y", "yes")
    except EOFError:
        return False


def cleaned(clouds: Clouds, prefix: str) -> int:
    left = clean(clouds, prefix, teller(clouds))
    print("\n".join(scrubbed(one, clouds.secrets) for one in left) or "Nothing is left.")
    return 1 if left else 0


def teller(clouds: Clouds) -> Callable[[str], None]:
    """Return what tells how far a check is."""
    start = time.monotonic()

    def say(text: str) -> None:
        print(f"{time.monotonic() - start:6.0f} s  {scrubbed(text, clouds.secrets)}", flush=True)

    return say


@contextmanager
def interruptible() -> Iterator[Callable[[], None]]:
    """Let SIGTERM and SIGHUP interrupt as Ctrl-C does, once, and not at all after what is yielded was called."""
    signals = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    former = {number: signal.getsignal(number) for number in signals}

    def interrupt(dummy: int, frame: FrameType | None) -> None:
        hold()
        raise KeyboardInterrupt

    def wait(dummy: int, frame: FrameType | None) -> None:
        print("removing what was made; please wait", flush=True)

    def hold() -> None:
        for number in signals:
            signal.signal(number, wait)

    for number in signals:
        signal.signal(number, interrupt)
    try:
        yield hold
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:], os.environ))
    except UNKNOWN as failure:
        sys.exit(f"{code_of(failure)}: {failure}")

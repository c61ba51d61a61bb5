# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""python -m bench [--rounds N] [PART…]: what the collection costs, against the sandbox; see README.md beside this."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

from tests.sandbox.images import build_large
from tests.sandbox.server import Sandbox
from tests.system.fleet import GROUP, HOSTS, REGIONS, Fleet

ROOT = Path(__file__).resolve().parents[1]
REGISTRY = "123456789012.dkr.ecr.us-east-1.amazonaws.com"
IMAGE = f"{REGISTRY}/runpod-gpu-training:v1"
QUOTA = {"minute": 180, "hour": 7200, "day": 86400}
NEW_TEMPLATES = 500
ROW = "{:<80} {:>8} {:>9}  {}"


class Bench:
    """The sandbox, how often to repeat, and where results go."""

    def __init__(self, sandbox: Sandbox, rounds: int) -> None:
        self.sandbox = sandbox
        self.rounds = rounds
        self.kept = True
        self.said = ""  # by the last command

    def play(self, playbook: str, **variables: Any) -> float:
        """Run a playbook to its good end and return the seconds it took."""
        with TemporaryDirectory() as folder:
            given = Path(folder) / "variables.json"
            given.write_text(json.dumps(variables))
            return self.run(["ansible-playbook", playbook, "-e", f"@{given}"])

    def module(self, name: str, options: dict[str, Any]) -> float:
        """Run one module of the collection and return the seconds it took."""
        return self.run(["ansible", "localhost", "-m", f"gpuops.runpod.{name}", "-a", json.dumps(options)])

    def run(self, command: list[str]) -> float:
        began = time.monotonic()
        done = subprocess.run(
            command,
            cwd=ROOT,
            env={**os.environ, **self.sandbox.environment, "ANSIBLE_PYTHON_INTERPRETER": sys.executable},
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            sys.exit(f"{' '.join(command)} failed:\n{done.stdout}{done.stderr}")
        self.said = done.stdout
        return time.monotonic() - began

    def public_repository(self, name: str) -> str:
        """Create a repository in ECR Public and return its URI."""
        made = self.sandbox.client("ecr-public").create_repository(repositoryName=name)
        return str(made["repository"]["repositoryUri"])

    def skopeo_copy(self, source: str, destination: str) -> float:
        """Copy an image as anybody would with skopeo alone and return the seconds it took."""
        private = self.sandbox.client("ecr").get_authorization_token()["authorizationData"][0]
        public = self.sandbox.client("ecr-public").get_authorization_token()["authorizationData"]
        hosts = {source.partition("/")[0]: private, destination.partition("/")[0]: public}
        with TemporaryDirectory() as folder:
            logins = Path(folder) / "auth.json"
            auths = {host: {"auth": token["authorizationToken"]} for host, token in hosts.items()}
            logins.write_text(json.dumps({"auths": auths}))
            flags = ["-q", "--all", "--preserve-digests", f"--authfile={logins}"]
            return self.run(["skopeo", "copy", *flags, f"docker://{source}", f"docker://{destination}"])

    def fresh(self) -> None:
        """Start the sandbox's world anew, without a quota."""
        self.sandbox.reset()
        self.sandbox.runpod.switch(rate_limits=None)

    def row(self, what: str, target: str, measured: str, good: bool) -> None:
        self.kept &= good
        print(ROW.format(what, target, measured, "ok" if good else "MISSED"), flush=True)

    def ratio(self, what: str, most: float, ours: list[float], theirs: list[float]) -> None:
        share = median(one / other for one, other in zip(ours, theirs, strict=True))
        self.row(
            f"{what} ({median(ours):.1f} s, {median(theirs):.1f} s)", f"<= {most} x", f"{share:.2f} x", share <= most
        )


def converge(bench: Bench) -> None:
    """One workload, first and unchanged, beside the same job made of other modules, by turns."""
    times: dict[str, list[float]] = {"ours": [], "ours again": [], "peer": [], "peer again": []}
    for _round in range(bench.rounds):
        bench.fresh()
        for again in ("", " again"):
            for who, playbook in (("peer", "bench/peer.yml"), ("ours", "playbooks/runpod_ecr.yml")):
                times[who + again].append(bench.play(playbook, runpod_ecr_image=IMAGE))
    bench.ratio("first converge, ours to the peer's", 0.8, times["ours"], times["peer"])
    bench.ratio("unchanged converge, ours to the peer's", 0.75, times["ours again"], times["peer again"])


def fleet(bench: Bench) -> None:
    """Fleets of templates in which nothing has changed: requests to RunPod, and time."""
    times: dict[int, list[float]] = {}
    for size in (1, 100, 500, 1000):
        bench.fresh()
        workloads = [{"image": IMAGE, "template": {"name": f"t{number:04}"}} for number in range(size)]
        bench.play("playbooks/runpod_ecr.yml", runpod_ecr_workloads=workloads)
        bench.sandbox.forget_calls()
        first = bench.play("playbooks/runpod_ecr.yml", runpod_ecr_workloads=workloads)
        requests = len(bench.sandbox.runpod_calls())
        bench.row(f"RunPod requests of an unchanged fleet of {size}", "<= 4", str(requests), requests <= 4)
        again = bench.rounds - 1 if size in (1, 500) else 0
        times[size] = [
            first,
            *(bench.play("playbooks/runpod_ecr.yml", runpod_ecr_workloads=workloads) for dummy in range(again)),
        ]
    bench.ratio("unchanged fleet of 500 to one of 1", 1.5, times[500], times[1])


def accounts(bench: Bench) -> None:
    """A fleet over several accounts and regions: converged by one run, and the time of another that changes nothing."""
    times: dict[str, list[float]] = {"fleet": [], "one": []}
    bench.fresh()
    workloads = Fleet(bench.sandbox)
    workloads.push()
    size = sum(len(items) for items in workloads.workloads.values())
    what = f"fleet of {size} over {len(HOSTS)} accounts and {len(REGIONS)} regions"
    with TemporaryDirectory() as folder:
        inventory = str(workloads.write(Path(folder)))
        command = ["ansible-playbook", "playbooks/runpod_ecr.yml", "-i", inventory, "-e", f"runpod_ecr_hosts={GROUP}"]
        bench.run(command)
        made = len(bench.sandbox.runpod.state()["templates"])
        bench.row(f"{what}: made by one run", str(size), str(made), workloads.current() == workloads.wanted())
        one = {"runpod_ecr_image": IMAGE, "runpod_ecr_user_name": "one"}
        bench.play("playbooks/runpod_ecr.yml", **one)
        for _round in range(bench.rounds):
            times["one"].append(bench.play("playbooks/runpod_ecr.yml", **one))
            times["fleet"].append(bench.run(command))
    bench.ratio(f"unchanged {what} to one of 1", 4, times["fleet"], times["one"])


def quota(bench: Bench) -> None:
    """New templates under a quota, in real time; in brackets also what they take on this machine without one."""
    templates = [{"name": f"t{number:04}", "image": IMAGE} for number in range(NEW_TEMPLATES)]
    bench.fresh()
    free = bench.module("runpod_templates", {"templates": templates})
    bench.fresh()
    bench.sandbox.runpod.switch(rate_limits=QUOTA)
    bench.sandbox.forget_calls()
    taken = bench.module("runpod_templates", {"templates": templates})
    calls = bench.sandbox.runpod_calls()
    refused = sum(call["status"] == 429 for call in calls)
    made = len(bench.sandbox.runpod.state()["templates"])
    dictated = (len(calls) - 1) // QUOTA["minute"] * 60
    what = f"{NEW_TEMPLATES} new templates under a quota of {QUOTA['minute']} a minute"
    bench.row(f"{what}: made", str(NEW_TEMPLATES), str(made), made == NEW_TEMPLATES)
    bench.row(f"{what}: refused requests", "0", str(refused), refused == 0)
    share = taken / dictated
    bench.row(f"{what} ({taken:.0f} s, {dictated} s; free {free:.0f} s)", "<= 1.1 x", f"{share:.2f} x", share <= 1.1)


def user(bench: Bench) -> None:
    """AWS calls for a pull user in which nothing has changed."""
    bench.fresh()
    options = {"name": "runpod-ecr-access", "repositories": ["runpod-gpu-training"], "secret_store": {}}
    bench.module("ecr_pull_user", options)
    bench.sandbox.forget_calls()
    bench.module("ecr_pull_user", options)
    calls = [call["name"] for call in bench.sandbox.aws_calls()]
    bench.row("AWS calls of an unchanged pull user", "<= 5", str(len(calls)), len(calls) <= 5)


def mirror(bench: Bench) -> None:
    """A new image of 1 GiB beside a bare skopeo copy. Ours is the time that the module reports for tokens and copy."""
    times: dict[str, list[float]] = {"ours": [], "bare": [], "whole": []}
    image = build_large(1024)
    for _round in range(bench.rounds):
        for who in ("bare", "ours"):
            bench.fresh()
            bench.sandbox.registries.push(f"{REGISTRY}/runpod-gpu-training:large", image)
            target = bench.public_repository("mirror")
            if who == "bare":
                times[who].append(bench.skopeo_copy(f"{REGISTRY}/runpod-gpu-training:large", f"{target}:large"))
            else:
                options = {"source": f"{REGISTRY}/runpod-gpu-training:large", "destination": target}
                times["whole"].append(bench.module("ecr_image_mirror", options))
                times[who].append(json.loads(bench.said.partition("=> ")[2])["seconds"])
    whole = f"whole run of Ansible {median(times['whole']):.1f} s"
    bench.ratio(f"mirror of 1 GiB, ours to bare skopeo's; {whole}", 1.1, times["ours"], times["bare"])


PARTS: dict[str, Callable[[Bench], None]] = {
    "converge": converge,
    "fleet": fleet,
    "accounts": accounts,
    "quota": quota,
    "user": user,
    "mirror": mirror,
}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench", description="Measure the collection against the sandbox.")
    parser.add_argument("--rounds", type=int, default=3, help="how often each run is timed; the median counts")
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"any of {', '.join(PARTS)}; all when none is named")
    options = parser.parse_args()
    if unknown := set(options.parts) - set(PARTS):
        parser.error(f"no such part: {', '.join(sorted(unknown))}")
    print(ROW.format("what", "target", "measured", "verdict"))
    with Sandbox(with_registries=True) as sandbox:
        bench = Bench(sandbox, options.rounds)
        for name in options.parts or PARTS:
            PARTS[name](bench)
    return 0 if bench.kept else 1


if __name__ == "__main__":
    sys.exit(main())

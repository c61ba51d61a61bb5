# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The front door: real ansible-playbook runs against the sandbox."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Thread
from typing import Any, NamedTuple
from unittest.mock import patch

import pytest
from ansible.inventory.manager import InventoryManager
from ansible.parsing.dataloader import DataLoader
from ansible.parsing.vault import VaultSecret
from ansible.template import Templar, trust_as_template
from ansible.vars.manager import VariableManager

from tests.leaks import Watch
from tests.processes import commands, descendants, kill, of_each
from tests.sandbox import contract
from tests.sandbox.near import near
from tests.sandbox.server import Sandbox

from .role import LOADER, Played, Role
from .shared_archives import sharing
from .worker import PATIENCE, Runs, until

ROOT = Path(__file__).resolve().parents[2]
REGISTRY = "123456789012.dkr.ecr.us-east-1.amazonaws.com"
IMAGE = f"{REGISTRY}/runpod-gpu-training:v1"
SEOUL = f"{REGISTRY.replace('us-east-1', 'ap-northeast-2')}/team/app:v1"
USER = "runpod-ecr-access"
PUBLISHED = ("runpod_ecr_result", "runpod_ecr_audit", "__runpod_ecr_plan", "__runpod_ecr_result")
READS = ("Get", "List", "Describe", "BatchGet", "BatchCheck", "Lookup", "Simulate", "Assume")  # calls of AWS
ENDPOINT = {
    "type": "QUEUE",
    "gpu": {"pools": ["ADA_24"], "count": 1},
    "scaling": {"type": "QUEUE_DELAY", "queue_delay": 4},
}


WATCHES: list[Watch] = []  # of the sandbox that runs


class Run(NamedTuple):
    """What a finished ansible-playbook said."""

    code: int
    output: str

    @property
    def recap(self) -> dict[str, int]:
        """The counters of the last recap."""
        return self.recaps["localhost"]

    @property
    def recaps(self) -> dict[str, dict[str, int]]:
        """The counters of each host in the last recap."""
        lines = re.findall(r"^(\S+)\s+: (ok=.*)$", self.output, re.MULTILINE)
        return {host: {name: int(count) for name, count in re.findall(r"(\w+)=(\d+)", line)} for host, line in lines}


class House:
    """The sandbox, and what stands in both clouds as their own APIs tell it."""

    def __init__(self, sandbox: Sandbox, archives: Path | None = None) -> None:
        self.sandbox = sandbox
        self.archives = archives
        self._clients: dict[tuple[str, str], Any] = {}
        self.runs = Runs(sandbox.environment)

    def environment(self) -> dict[str, str]:
        """Return nothing but what a user must set, and the path of the tools."""
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        return {"PATH": path, "HOME": os.environ["HOME"], "LANG": "C.UTF-8", **self.sandbox.environment}

    def play(self, playbook: str | Path, *arguments: str, **environment: str) -> Run:
        """Run a playbook from the checkout's root and return what it said."""
        with self.started(playbook, *arguments, **environment) as process:
            try:
                output, dummy = process.communicate(timeout=PATIENCE)
            finally:
                kill(process)
        assert (
            re.findall(r"\[DEPRECATION WARNING\]: (?!\w+ has been deprecated. Use another callback)", output) == []
        ), output
        return Run(process.returncode, output)

    def started(self, playbook: str | Path, *arguments: str, **environment: str) -> subprocess.Popen[str]:
        """Start a playbook from the checkout's root."""
        return subprocess.Popen(
            ["ansible-playbook", str(playbook), *arguments],
            cwd=ROOT,
            env={**self.environment(), **sharing(self.archives), **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def arrange(
        self, *workloads: Any, access: str = "credential", store: str = "secretsmanager", **options: Any
    ) -> None:
        """Bring about what a first run of the main playbook does, without the seconds that Ansible takes for it.

        The ways of access are those of the role, `caller` for tokens of the caller's own, and `quarantined`.
        """
        run = {
            "credential": self.runs.converge,
            "delegation": self.runs.delegate,
            "public": self.runs.publish,
            "caller": self.runs.lend,
            "quarantined": self.runs.quarantine,
        }[access]
        self.runs.store = store
        with patch.dict(os.environ, self.environment()):
            run(*workloads, **options)

    def role(self, entry: str = "main", *, check: bool = False, **options: Any) -> Played:
        """Run the role for an image in this process; options are its variables without their prefix."""
        variables = {f"runpod_ecr_{name}": value for name, value in {"image": IMAGE, **options}.items()}
        with patch.dict(os.environ, self.environment()):
            played = Role(self.runs).play(entry, check, **variables)
        for watch in WATCHES:
            published = [value for name, value in played.variables.items() if name.startswith(PUBLISHED)]
            watch.look(f"the role's {entry}", json.dumps([played.failure, played.warnings, published], default=str))
        return played

    def perform(self, tasks: str, **variables: Any) -> None:
        """Let tasks succeed in this process."""
        with patch.dict(os.environ, self.environment()):
            done = Role(self.runs).perform(tasks, **variables)
        for watch in WATCHES:
            watch.look("a task", json.dumps(done, default=str))

    def arrange_host(self, inventory: Path, host: str, vault_password: str = "") -> None:
        """Bring about what a first run of the role does for a host of an inventory."""
        loader = DataLoader()
        loader.set_vault_secrets([("default", VaultSecret(vault_password.encode()))])
        hosts = InventoryManager(loader, [str(inventory)])
        variables = VariableManager(loader, hosts).get_vars(host=hosts.get_host(host))
        with patch.dict(os.environ, self.environment()):
            assert Role(self.runs).play(**variables).failure == ""

    def call(self, module: str, options: dict[str, Any]) -> None:
        """Run a module in this process, which takes no time either."""
        with patch.dict(os.environ, self.environment()):
            self.runs.call(module, options)

    def typed(self, words: list[str]) -> None:
        """Run in this process the module of an `ansible` command that a shell has read; Ansible reads its options."""
        assert words[:3] == ["ansible", "localhost", "-m"] and words[4] == "-a"
        options = LOADER.load(trust_as_template(words[5]))
        self.call(words[3].rpartition(".")[2], Templar(LOADER, variables={}).template(options))

    def main_job(self, *arguments: str, image: str = IMAGE, **environment: str) -> Run:
        """Run the main playbook for an image."""
        return self.play("playbooks/runpod_ecr.yml", "-e", f"runpod_ecr_image={image}", *arguments, **environment)

    def client(self, service: str, region: str = "us-east-1") -> Any:
        """Return a boto3 client that acts as the operator."""
        if (service, region) not in self._clients:
            self._clients[service, region] = self.sandbox.client(service, region_name=region)
        return self._clients[service, region]

    def keys(self) -> dict[str, str]:
        """Return the pull user's access keys with their status."""
        metadata = self.client("iam").list_access_keys(UserName=USER)["AccessKeyMetadata"]
        return {key["AccessKeyId"]: key["Status"] for key in metadata}

    def users(self) -> list[str]:
        return [user["UserName"] for user in self.client("iam").list_users()["Users"]]

    def secrets(self) -> list[str]:
        return [secret["Name"] for secret in self.client("secretsmanager").list_secrets()["SecretList"]]

    def entry(self, store: str = "secretsmanager") -> str:
        """Return the value of the pull user's entry in the secret store."""
        if store == "ssm":
            held = self.client("ssm").get_parameter(Name=f"/runpod-ecr/{USER}", WithDecryption=True)
            return held["Parameter"]["Value"]
        return self.client("secretsmanager").get_secret_value(SecretId=f"runpod-ecr/{USER}")["SecretString"]

    def stored(self, store: str = "secretsmanager") -> str:
        """Return the id of the key in the store, which works; no note of an unfinished run is left beside it."""
        entry = json.loads(self.entry(store))
        assert set(entry) == {"access_key_id", "secret_access_key", "created"}
        self.sandbox.client("ecr", entry["access_key_id"], entry["secret_access_key"]).get_authorization_token()
        return entry["access_key_id"]

    def good(self, store: str, *others: str) -> str:
        """Return the one good key, once it is the only one beside `others`, and RunPod has one token that works."""
        key, keys = self.stored(store), self.keys()
        assert keys == dict.fromkeys([key, *others], "Active")
        [credential] = [held for held in self.runpod()["registries"] if held["name"].startswith(USER)]
        assert self.sandbox.aws.logins[credential["password"]].access_key in keys
        return key

    def pullable(self) -> set[str]:
        """Return the repositories that the pull user's policy names."""
        iam = self.client("iam")
        names = iam.list_user_policies(UserName=USER)["PolicyNames"]
        documents = [iam.get_user_policy(UserName=USER, PolicyName=name)["PolicyDocument"] for name in names]
        resources = [
            resource
            for document in documents
            for statement in document["Statement"]
            if statement["Resource"] != "*"
            for resource in statement["Resource"]
        ]
        return {resource.rpartition("/")[2] for resource in resources}

    def runpod(self) -> dict[str, Any]:
        """Return all that the simulator holds, passwords included."""
        return self.sandbox.runpod.state()

    def writes(self) -> list[str]:
        """Return the calls to both clouds that are not known to read only."""
        aws = [call["name"] for call in self.sandbox.aws_calls()]
        runpod = [call["name"] for call in self.sandbox.runpod_calls() if call["method"] != "GET"]
        return [name for name in aws if not name.partition(":")[2].startswith(READS)] + runpod

    def all_answered(self) -> bool:
        """Return whether no call to either cloud is still worked on; one that was cut never counts as answered."""
        return all(call["status"] for call in self.sandbox.aws_calls() + self.sandbox.runpod_calls())


@contextmanager
def sampled_processes(samples: set[str], seconds: float = 0.02) -> Iterator[None]:
    """Collect the command lines of the processes that come from this one while the block runs.

    What else runs beside, such as Molecule, puts its environment on command lines.
    """
    done = Event()

    def sample() -> None:
        while not done.wait(seconds):
            samples.update(commands(descendants(os.getpid()) - {os.getpid()}))

    thread = Thread(target=sample)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def galaxy(*arguments: str | Path) -> None:
    command = [Path(sys.executable).parent / "ansible-galaxy", "collection", *arguments]
    subprocess.run(command, cwd=ROOT, check=True)


def install(archive: Path, folder: Path) -> None:
    # Forced: the checkout, where it is among the configured places, passes for an installed collection otherwise.
    galaxy("install", archive, "--collections-path", folder, "--no-deps", "--offline", "--force")


@pytest.fixture(scope="session")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What is published of the collection."""
    folder = tmp_path_factory.mktemp("archive")
    galaxy("build", "--output-path", folder)
    [built] = folder.glob("*.tar.gz")
    return built


@pytest.fixture(scope="session")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(with_registries=True) as running:
        # For runs in this process. A client that trusts one authority is made in no time, one that trusts all is not.
        here = {name: running.environment[name] for name in ("NO_PROXY", "no_proxy", "SSL_CERT_FILE")}
        WATCHES[:] = [Watch(running)]
        with patch.dict(os.environ, here), near(running), WATCHES[0].watching():
            yield running
        WATCHES.clear()


@pytest.fixture(scope="session")
def archives(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the runs of a session share the archives of the checkout's modules: Ansible locks each that it makes."""
    own = tmp_path_factory.getbasetemp()
    folder = (own.parent if "PYTEST_XDIST_WORKER" in os.environ else own) / "archives"
    folder.mkdir(exist_ok=True)
    return folder


@pytest.fixture
def house(sandbox: Sandbox, archives: Path) -> House:
    sandbox.reset()
    return House(sandbox, archives)


@pytest.fixture(autouse=True)
def nothing_runs_on(sandbox: Sandbox) -> Iterator[None]:
    """What a test has started ends before the next one looks at the calls to the sandbox."""
    yield
    address = f"AWS_ENDPOINT_URL={sandbox.environment['AWS_ENDPOINT_URL']}\0".encode()
    until(lambda: not any(address in environment for environment in of_each("environ").values()))


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup() -> None:
    """Before anything is set up for a test, forget what others have said: those of the sandbox print its secrets."""
    for watch in WATCHES:
        watch.taken()


@pytest.fixture(autouse=True)
def nothing_leaks() -> Iterator[None]:
    """No process and no run of the role that the test has seen has said a secret of the sandbox."""
    yield
    assert [leak for watch in WATCHES for leak in watch.taken()] == []


@pytest.fixture(autouse=True)
def within_the_document() -> Iterator[None]:
    """Every request to RunPod that the test has made is one that RunPod's own document allows."""
    contract.taken()
    yield
    assert not contract.taken()

# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

import boto3
import pytest
from ansible_collections.amazon.aws.plugins.module_utils.retries import RetryingBotoClientWrapper
from moto import mock_aws
from moto.core.base_backend import BackendDict
from moto.core.model_instances import reset_model_data

from ansible_collections.gpuops.runpod.plugins.module_utils._aws.client import Aws
from ansible_collections.gpuops.runpod.plugins.module_utils._aws.secret_entry import KeyPair
from ansible_collections.gpuops.runpod.tests.sandbox import contract
from ansible_collections.gpuops.runpod.tests.unit.plugins import rights
from ansible_collections.gpuops.runpod.tests.unit.plugins.direct import shorten
from ansible_collections.gpuops.runpod.tests.unit.plugins.fake_aws import STORES, Account


@pytest.fixture(autouse=True)
def no_module_needs_a_right_that_its_page_does_not_list(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever a test makes a module do, it stays within the rights that it asks for."""
    plain = Aws.call

    def call(self: Aws, service: str, operation: str, identity: KeyPair | None = None, **given: Any) -> Any:
        module = rights.calling_module()
        if module:
            may = rights.PULL_USER if identity else rights.listed(module)
            beyond = rights.needed(service, operation, given) - may
            assert not beyond, f"the page of {module} does not list {beyond}"
        return plain(self, service, operation, identity=identity, **given)

    monkeypatch.setattr(Aws, "call", call)


@cache
def signing_client(service: str, region: str, options: tuple[tuple[str, Any], ...]) -> Any:
    """Return a client like that of AnsibleAWSModule: one for all tests, as making one takes longer than its calls."""
    return shorten(boto3.client(service, region_name=region, **dict(options)))


@pytest.fixture(scope="module")
def moto() -> Iterator[None]:
    """AWS in memory: for all tests of a file, as starting it takes longer than many of them."""
    with mock_aws():
        yield


@pytest.fixture
def connect(moto: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Any]]:
    """An empty AWS account in memory, behind a function with the shape of AnsibleAWSModule.client."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")

    def client(service: str, region: str, retry_decorator: Any = None, aws_config: Any = None, **options: Any) -> Any:
        made = signing_client(service, region, tuple(sorted(options.items())))
        return RetryingBotoClientWrapper(made, retry_decorator) if retry_decorator else made

    yield client
    BackendDict.reset()
    reset_model_data()


@pytest.fixture
def account(connect: Callable[..., Any], request: pytest.FixtureRequest) -> Account:
    """The same, with a note of every call and switches for faults; the mark BOTH_STORES asks for either store."""
    return Account(STORES[getattr(request, "param", "secretsmanager")])


@pytest.fixture(autouse=True)
def within_the_document() -> Iterator[None]:
    """Every request to RunPod that the test has made is one that RunPod's own document allows."""
    contract.taken()
    yield
    assert not contract.taken()

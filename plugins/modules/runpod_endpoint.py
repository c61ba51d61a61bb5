#!/usr/bin/python
# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: runpod_endpoint
short_description: Manage a serverless endpoint on RunPod
version_added: 1.0.0
author: The gpuops.runpod authors (@gpuops)
description:
  - Creates, changes or deletes a serverless endpoint, and keeps it running what the template O(template) says now.
  - A template is a snapshot for what is started from it. RunPod changes no endpoint when its template changes, this
    module does, by comparing the two in each run.
  - Optionally waits until no worker runs an older version.
extends_documentation_fragment:
  - gpuops.runpod.runpod
  - gpuops.runpod.attributes
  - gpuops.runpod.attributes.runpod_group
options:
  name:
    description:
      - Name of the endpoint. RunPod lets several have one name. Then this is an error that lists their ids.
      - Together with O(id) it is the name that the endpoint is to have.
      - One of O(name) and O(id) is required.
    type: str
  id:
    description: Id of the endpoint, instead of its name. One with this id must exist, unless O(state=absent).
    type: str
  state:
    description:
      - Whether the endpoint exists.
      - V(absent) cannot be undone. RunPod ends all workers, cancels the jobs that run or wait, and deletes the template
        that is bound to the endpoint, if there is one.
    type: str
    choices:
      - present
      - absent
    default: present
  template:
    description:
      - Name or id of the serverless template whose image, arguments, disk, environment, ports and credential the
        endpoint is to have. The id of a public template of somebody else is taken too.
      - The options O(image), O(args), O(cmd), O(entrypoint), O(disk), O(ports) and O(registry) win over the
        template. O(env) is merged with
        the template's by name of the variable, and wins.
      - A GPU endpoint that is created without O(gpu.allowed_cuda_versions) and O(gpu.min_cuda_version) takes the CUDA
        versions of the template. Later they are left alone.
      - In check mode, a template that does not exist yet is a warning, and the result lacks what it would bring.
    type: str
  image:
    description: Reference of the image to run. Required to create the endpoint without O(template).
    type: str
  args:
    description: Arguments of the container's entry point, as one string.
    type: str
  cmd:
    description:
      - Arguments of the container's entry point, one by one and in this order.
      - RunPod stores them together with O(entrypoint) as O(args), so neither can be set together with that.
    type: list
    elements: str
  entrypoint:
    description: Command to start in place of the image's entry point, one part by one and in this order.
    type: list
    elements: str
  disk:
    description: >-
      Size in GB of the container's disk, which is wiped on each restart. A new endpoint without O(template) gets V(50).
    type: int
  env:
    description:
      - Environment variables. Values are strings; numbers are sent as strings.
      - Booleans and null are refused, because how they would have to be spelt is anybody's guess. Quote them.
      - Without O(template) they replace all that the endpoint has.
    type: dict
  ports:
    description: Ports to expose, each as V(8888/http) or V(22/tcp).
    type: list
    elements: str
  registry:
    description:
      - Name or id of the registry credential to pull the image with. The empty string takes it away.
      - In check mode, a credential that does not exist yet is a warning, and the result shows its name.
    type: str
  type:
    description:
      - How requests reach the workers, through a queue or directly. Required to create the endpoint.
      - RunPod cannot change it. Another type than the endpoint has is an error.
      - V(LOAD_BALANCER) needs O(scaling.type=REQUEST_COUNT).
    type: str
    choices:
      - QUEUE
      - LOAD_BALANCER
  gpu:
    description:
      - The GPUs to run on. One of O(gpu) and O(cpu) is required to create the endpoint.
      - RunPod cannot move an endpoint from GPUs to CPUs or back. To ask for it is an error.
    type: dict
    suboptions:
      pools:
        description:
          - Ids of serverless GPU pools, such as V(ADA_24). These are not ids of GPU types.
          - Required to create a GPU endpoint. New pools leave O(gpu.excluded_types) alone.
        type: list
        elements: str
      count:
        description: GPUs of each worker. A new endpoint gets V(1).
        type: int
      excluded_types:
        description: Ids of GPU types in the pools not to run on, such as V(NVIDIA L4).
        type: list
        elements: str
      allowed_cuda_versions:
        description:
          - CUDA versions to accept, quoted, such as V("12.8"). Empty means any.
          - Only one of this and O(gpu.min_cuda_version) can limit an endpoint. To set one, empty the other.
        type: list
        elements: str
      min_cuda_version:
        description: Lowest CUDA version to accept, quoted, such as V("12.1"). The empty string means any.
        type: str
  cpu:
    description: The CPU configurations to run on, instead of GPUs.
    type: list
    elements: dict
    suboptions:
      id:
        description: Id of the CPU flavor, such as V(cpu5c).
        type: str
        required: true
      vcpu_count:
        description: Number of vCPUs, a power of two from 2 up.
        type: int
        required: true
  workers:
    description: How many workers there may be. What is not set here is left alone.
    type: dict
    suboptions:
      min:
        description: Workers that always run. A new endpoint gets V(0).
        type: int
      max:
        description: Workers that may run. A new endpoint gets V(3).
        type: int
      idle_timeout:
        description:
          - Seconds, up to 3600, after which a worker without work is stopped. A new endpoint gets V(10).
          - It does not apply to O(type=QUEUE) with O(scaling.type=REQUEST_COUNT), where setting it is an error.
        type: int
  scaling:
    description: When to start another worker. Required to create the endpoint.
    type: dict
    suboptions:
      type:
        description:
          - V(QUEUE_DELAY) goes by the time that requests wait in the queue, V(REQUEST_COUNT) by the number of requests.
        type: str
        choices:
          - QUEUE_DELAY
          - REQUEST_COUNT
        required: true
      queue_delay:
        description: Seconds that requests may wait, at least 0.5. Required with O(scaling.type=QUEUE_DELAY).
        type: float
      request_count:
        description: Requests that one worker may have. Required with O(scaling.type=REQUEST_COUNT).
        type: int
  timeout:
    description:
      - Milliseconds that a request may take.
      - A new endpoint gets V(300000). RunPod documents this as its default, but gives V(0) to an endpoint that does not
        ask, so the module always asks.
    type: int
  flashboot:
    description: Whether RunPod makes cold starts faster by FlashBoot. A new endpoint gets V(OFF).
    type: str
    choices:
      - "OFF"
      - FLASHBOOT
      - PRIORITY_FLASHBOOT
  data_center_ids:
    description:
      - Data centers to run in, such as V(US-KS-2). Empty means any.
      - RunPod calls them preferred but runs nowhere else.
    type: list
    elements: str
  network_volumes:
    description: Ids of network volumes to attach.
    type: list
    elements: str
  adopt:
    description:
      - Whether to take over an endpoint of that name that may be somebody else's.
      - That is one that runs an image of another repository than is wanted, or pulls with another credential
        than the wanted one while both exist. Without O(adopt) it is an error before anything is changed. One that O(id)
        names is never an error.
      - An image in ECR Public counts as of the private repository in Amazon ECR that it has the name of.
    type: bool
    default: false
  wait:
    description:
      - Whether to wait until no worker runs an older version and, where there are workers, at least one is ready.
      - An endpoint without workers is not waited for, its next worker starts with the newest version.
      - A run that changes nothing waits too, for the roll-out of an earlier one. Check mode never waits.
    type: bool
    default: false
  wait_timeout:
    description: Seconds to wait, at most a day, before the module fails. The roll-out goes on at RunPod.
    type: int
    default: 600
notes:
  - An option that is not set leaves what the endpoint has alone; on creation it means RunPod's default. The empty
    string, list or dictionary makes empty. RunPod cannot empty O(image), O(gpu.pools) and O(cpu), and an option that
    O(template) gives is as the template says.
  - Two lists are the same when they hold the same values in any order.
  - The template's settings are sent in its stead, not its id. RunPod deletes the template that it has bound to an
    endpoint together with that endpoint, and does not tell which one that is. This way none that others share can be
    it. Delete an endpoint before its template all the same, because RunPod refuses to delete a template in use.
  - "A change of the container (O(image), O(args), O(cmd), O(entrypoint), O(disk), O(env), O(ports), O(registry), also
    by O(template)) makes a
    release. RunPod rolls it out as it replaces workers; those that run keep the older version until then. The other
    options act at once, limits of hardware and place as workers are replaced."
  - RunPod has no way to ask twice without getting two endpoints. When the answer to a creation is lost, the module
    looks for the endpoint of that name. When another run created one at the same time, the one with the lowest id
    stays, or the one that a run has told of already, and the run that made the other deletes that.
  - New O(gpu.pools) are compared with RunPod's catalogue, where that can be read.
  - RunPod's answer to each write is compared with what was sent. A field that it did not take is an error.
  - The values of C(env) are masked by key in results, in diffs, and where the arguments are echoed. They are not
    marked as secret to Ansible, which would blot them out wherever they occur, in ids and names too.
  - "Ansible would take RunPod's own placeholders such as C({{ RUNPOD_SECRET_name }}) for Jinja: mark the string with
    C(!unsafe)."
  - The API key must be allowed to read and write serverless endpoints and, where they are named, to read templates and
    registry credentials.
seealso:
  - module: gpuops.runpod.runpod_template
  - module: gpuops.runpod.runpod_ecr_credential
  - module: gpuops.runpod.runpod_info
"""

EXAMPLES = r"""
- name: Ensure the template of the endpoint runs the image
  gpuops.runpod.runpod_template:
    name: runpod-gpu-inference
    image: 123456789012.dkr.ecr.us-east-1.amazonaws.com/runpod-gpu-inference:v2
    serverless: true
    env:
      LOG_LEVEL: info

- name: Ensure an endpoint runs what the template says, on one of two kinds of GPU
  gpuops.runpod.runpod_endpoint:
    name: inference
    template: runpod-gpu-inference
    type: QUEUE
    gpu:
      pools:
        - ADA_24
        - AMPERE_24
    workers:
      max: 5
    scaling:
      type: QUEUE_DELAY
      queue_delay: 4

- name: Ensure its workers have come to what the template says
  gpuops.runpod.runpod_endpoint:
    name: inference
    template: runpod-gpu-inference
    wait: true
    wait_timeout: 1200

- name: Ensure a worker is always there, whatever else the endpoint has
  gpuops.runpod.runpod_endpoint:
    name: inference
    workers:
      min: 1

- name: Ensure an endpoint on CPUs that its callers reach directly, with a token from RunPod's own secrets
  gpuops.runpod.runpod_endpoint:
    name: gateway
    image: docker.io/library/nginx:1.29
    type: LOAD_BALANCER
    cpu:
      - id: cpu5c
        vcpu_count: 4
    ports:
      - 80/http
    scaling:
      type: REQUEST_COUNT
      request_count: 8
    env:
      HF_TOKEN: !unsafe "{{ RUNPOD_SECRET_hf_token }}"
  register: gateway

- name: Ensure this one has another name
  gpuops.runpod.runpod_endpoint:
    id: "{{ gateway.endpoint.id }}"
    name: gateway-blue

- name: Ensure the endpoint is gone
  gpuops.runpod.runpod_endpoint:
    name: inference
    state: absent
"""

RETURN = r"""
endpoint:
  description: The endpoint afterwards; a prediction in check mode. Null once it is absent.
  type: dict
  returned: success, and when O(wait_timeout) is over
  contains:
    id:
      description: Id of the endpoint.
      type: str
      returned: once the endpoint exists
      sample: jpnw0v75y3qoql
    name:
      description: Name of the endpoint.
      type: str
      returned: always
      sample: inference
    type:
      description: How requests reach the workers.
      type: str
      returned: when RunPod tells it
      sample: QUEUE
    image:
      description: Image that it runs.
      type: str
      returned: always, but in check mode with a template that does not exist yet
      sample: 123456789012.dkr.ecr.us-east-1.amazonaws.com/runpod-gpu-inference:v1
    args:
      description: Arguments of the entry point.
      type: str
      returned: always
      sample: ""
    cmd:
      description: Arguments of the entry point, one by one; what RunPod makes of C(args).
      type: list
      elements: str
      returned: always
      sample: []
    entrypoint:
      description: Command in place of the image's entry point; empty means that one.
      type: list
      elements: str
      returned: always
      sample: []
    disk:
      description: Size of the container's disk in GB.
      type: int
      returned: always
      sample: 50
    env:
      description: Environment variables by name; the values are masked.
      type: dict
      returned: always
      sample:
        LOG_LEVEL: "********"
    ports:
      description: Exposed ports.
      type: list
      elements: str
      returned: always
      sample: []
    registry:
      description: Id of the registry credential, or null.
      type: str
      returned: always
      sample: clzdaifot0001l90809257ynb
    gpu:
      description: The GPUs it runs on.
      type: dict
      returned: for an endpoint on GPUs
      sample:
        pools:
          - ADA_24
        count: 1
        allowed_cuda_versions: []
        min_cuda_version:
      contains:
        pools:
          description: Ids of the GPU pools.
          type: list
          elements: str
          returned: always
          sample:
            - ADA_24
        count:
          description: GPUs of each worker.
          type: int
          returned: when RunPod tells it
          sample: 1
        excluded_types:
          description: Ids of the GPU types in the pools that it does not run on.
          type: list
          elements: str
          returned: when there are some
          sample:
            - NVIDIA L4
        allowed_cuda_versions:
          description: CUDA versions that are accepted; empty means any.
          type: list
          elements: str
          returned: always
          sample: []
        min_cuda_version:
          description: Lowest CUDA version that is accepted, or null.
          type: str
          returned: always
          sample: "12.1"
    cpu:
      description: The CPU configurations it runs on.
      type: list
      elements: dict
      returned: for an endpoint on CPUs
      contains:
        id:
          description: Id of the CPU flavor.
          type: str
          returned: always
          sample: cpu5c
        vcpu_count:
          description: Number of vCPUs.
          type: int
          returned: always
          sample: 4
        memory:
          description: Memory in GB, which follows from the two.
          type: int
          returned: once RunPod has told it
          sample: 8
    workers:
      description: How many workers there may be.
      type: dict
      returned: always
      contains:
        min:
          description: Workers that always run.
          type: int
          returned: always
          sample: 0
        max:
          description: Workers that may run.
          type: int
          returned: always
          sample: 3
        idle_timeout:
          description: Seconds after which a worker without work is stopped.
          type: int
          returned: where it applies
          sample: 10
    scaling:
      description: When another worker is started.
      type: dict
      returned: always
      contains:
        type:
          description: What is measured.
          type: str
          returned: always
          sample: QUEUE_DELAY
        queue_delay:
          description: Seconds that requests may wait.
          type: float
          returned: for V(QUEUE_DELAY)
          sample: 4
        request_count:
          description: Requests that one worker may have.
          type: int
          returned: for V(REQUEST_COUNT)
          sample: 8
    timeout:
      description: Milliseconds that a request may take.
      type: int
      returned: always
      sample: 300000
    flashboot:
      description: Whether cold starts are made faster.
      type: str
      returned: always
      sample: "OFF"
    data_center_ids:
      description: Data centers it runs in; empty means any.
      type: list
      elements: str
      returned: always
      sample: []
    network_volumes:
      description: Ids of its network volumes.
      type: list
      elements: str
      returned: always
      sample: []
    request_urls:
      description: Addresses to send requests to, by purpose.
      type: dict
      returned: once RunPod has told them
      sample:
        run: https://api.runpod.ai/v2/jpnw0v75y3qoql/run
        run_sync: https://api.runpod.ai/v2/jpnw0v75y3qoql/runsync
        health: https://api.runpod.ai/v2/jpnw0v75y3qoql/health
    created_at:
      description: When it was made.
      type: str
      returned: once the endpoint exists
      sample: "2026-11-24T07:00:00Z"
release:
  description:
    - How far the workers have come to the newest release. Null for an endpoint that does not exist (yet).
    - In check mode these are the figures before the change.
  type: dict
  returned: success, and when O(wait_timeout) is over
  contains:
    version:
      description: Version of the endpoint's configuration, or null when RunPod does not tell it.
      type: int
      returned: always
      sample: 4
    rollout:
      description: The workers and their versions. Null when RunPod does not tell, as a moment after the creation.
      type: dict
      returned: always
      contains:
        in_progress:
          description: Whether a worker runs an older version.
          type: bool
          returned: always
          sample: true
        workers_on_latest:
          description: Workers of the newest version.
          type: int
          returned: always
          sample: 2
        workers_total:
          description: All workers.
          type: int
          returned: always
          sample: 3
        percent_on_latest:
          description: Share of the workers that run the newest version. It is 0 when there are no workers.
          type: int
          returned: always
          sample: 67
    changes:
      description:
        - Options of the container that this run changed, or would change. They make RunPod roll out a release.
        - Empty for a new endpoint, and when only other options changed.
      type: list
      elements: str
      returned: always
      sample:
        - image
        - env
workers:
  description: The workers, as RunPod told last.
  type: list
  elements: dict
  returned: when O(wait_timeout) is over
  contains:
    id:
      description: Id of the worker.
      type: str
      returned: always
      sample: 8x2v1q0c7w
    status:
      description: One of V(RUNNING), V(IDLE), V(INITIALIZING), V(THROTTLED) and V(UNHEALTHY).
      type: str
      returned: always
      sample: INITIALIZING
    is_stale:
      description: Whether it runs an older version.
      type: bool
      returned: always
      sample: false
    version:
      description: Version of the endpoint's configuration that it runs, or null.
      type: int
      returned: when RunPod tells it
      sample: 4
    image:
      description: Image that it runs, or null.
      type: str
      returned: when RunPod tells it
      sample: 123456789012.dkr.ecr.us-east-1.amazonaws.com/runpod-gpu-inference:v2
    gpu_count:
      description: Number of its GPUs.
      type: int
      returned: always
      sample: 1
    gpu_type_id:
      description: Its type of GPU, or null while it has no machine.
      type: str
      returned: when RunPod tells it
      sample: NVIDIA GeForce RTX 4090
    data_center_id:
      description: Where it runs, or null while it has no machine.
      type: str
      returned: when RunPod tells it
      sample: US-KS-2
    uptime_seconds:
      description: For how long it has run, or null.
      type: int
      returned: when RunPod tells it
      sample: 3600
    started_at:
      description: When it started last, or null.
      type: str
      returned: when RunPod tells it
      sample: "2026-11-24T07:00:00Z"
"""


from ..module_utils._core.module import CollectionModule, execute
from ..module_utils._runpod.connection import ARGUMENTS, runpod_client
from ..module_utils._runpod.endpoint import run
from ..module_utils._runpod.endpoint_fields import NOT_BOTH, ONE_OF, OPTIONS
from ..module_utils._runpod.ownership import ADOPT


def main() -> None:
    execute(
        CollectionModule(
            {**ARGUMENTS, **OPTIONS, **ADOPT},
            required_one_of=ONE_OF,
            mutually_exclusive=NOT_BOTH,
            supports_check_mode=True,
        ),
        run,
        "endpoint",
        runpod_client,
    )


if __name__ == "__main__":
    main()

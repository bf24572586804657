"""Defects of the node: batches, what is told when, the outbox, operations, timers, schedules."""

from __future__ import annotations

from tests.planted.planting import defect

_ROOM = "node"
_LOOP = "flowrt.loop:Loop"
_AGENDA = "flowrt.agenda:Agenda"
_STEPPING = "flowrt.stepping:Stepping"
_ADMISSION = "flowrt.hospital.admission:Admission"
_OUTBOX = "flowrt.peers.outbox:Outbox"
_QUOTAS = "flowrt.peers.quotas:Quotas"
_OPERATIONS = "flowrt.operations:Operations"
_TIMERS = "flowrt.timers:Timers"
_SCHEDULES = "flowrt.schedules:Schedules"

DEFECTS = (
    defect(
        "acknowledged before the commit",
        _ROOM,
        "the peer is told that a letter is kept before it is",
        "I6",
        (
            f"{_LOOP}._commit",
            "    batch = turn.batch\n",
            "    batch = turn.batch\n"
            "    for key, ids in turn.acks.items():\n"
            "        packet = packed_ack(ids, self._outbox.mark, turn.held[key])\n"
            "        self._transport.send(key[0], packet)\n",
        ),
    ),
    defect(
        "sent before the commit",
        _ROOM,
        "frames leave before they are written",
        "I5",
        (
            f"{_LOOP}._commit",
            "    batch = turn.batch\n",
            "    batch = turn.batch\n"
            "    for number, peer, frame in batch.outbox:\n"
            "        self._outbox.send(number, peer, frame, self._transport, batch.now_us)\n",
        ),
    ),
    defect(
        "told before the commit",
        _ROOM,
        "who awaits a result hears it before it is written",
        "I4",
        (
            f"{_LOOP}._commit",
            "    batch = turn.batch\n",
            "    batch = turn.batch\n"
            "    for flow_id, outcome in turn.ended:\n"
            "        handle = self._handles.pop(flow_id, None)\n"
            "        if handle is not None:\n"
            "            handle.ended(outcome)\n",
        ),
    ),
    defect(
        "invitation is not remembered",
        _ROOM,
        "that an invitation was taken is not written with the flow that it began",
        "I6",
        (
            f"{_LOOP}._commit",
            "encode(self._peers[name])",
            "encode(msgspec.structs.replace(self._peers[name], seen=[]))",
        ),
    ),
    defect(
        "nobody is rejected",
        _ROOM,
        "who invites what is not there gets no answer",
        "L",
        (f"{_LOOP}._invited", "self._enqueue(turn, peer, encode(letter))", "pass"),
    ),
    defect(
        "letter refused, yet acknowledged",
        _ROOM,
        "a letter that the flow did not take is acknowledged",
        "I6",
        (
            f"{_STEPPING}._step",
            "        except NotTaken:\n            return\n",
            "        except NotTaken:\n            turn.acknowledge(peer, job.outbox_id)\n"
            "            return\n",
        ),
    ),
    defect(
        "sent is delivered",
        _ROOM,
        "an outbox row is deleted when the transport has taken it",
        "I6",
        (
            f"{_OUTBOX}._begin",
            "    self._send(number, lane, frame, transport, now_us, 0)\n",
            "    self._send(number, lane, frame, transport, now_us, 0)\n"
            "    self._settled.append(number)\n",
        ),
    ),
    defect(
        "sent once",
        _ROOM,
        "what is not acknowledged is not sent again",
        "I16",
        (
            f"{_OUTBOX}.send_again",
            "self._send(number, lane, frame, transport, now_us, times + 1)",
            "pass",
        ),
    ),
    defect(
        "gives up sending",
        _ROOM,
        "what was sent three times in vain is not sent again",
        "I16",
        (
            f"{_OUTBOX}.send_again",
            "if held is None or",
            "if held is None or times > 1 or",
        ),
    ),
    defect(
        "restart sends nothing",
        _ROOM,
        "a new process does not send what the old one could not",
        "I16",
        (f"{_OUTBOX}.load", "self._hungry[peer] = lane", "pass"),
    ),
    defect(
        "clock set back, nothing sent",
        _ROOM,
        "after its clock was set back a node waits until it was due before",
        "I16",
        (f"{_OUTBOX}.send_again", "not now_us < queue[0][0] <= latest_us", "queue[0][0] <= now_us"),
    ),
    defect(
        "anybody may acknowledge",
        _ROOM,
        "an acknowledgement counts from whoever it comes",
        "I6",
        (f"{_OUTBOX}.acknowledged", "        return\n", "        lane = self._lane(peer)\n"),
        (f"{_OUTBOX}.acknowledged", " and held[0] is lane", ""),
    ),
    defect(
        "unknown is not written",
        _ROOM,
        "a commit whose end is not known is taken for refused",
        "I2",
        (f"{_LOOP}._recover", "written = self._commits != commits", "written = False"),
    ),
    defect(
        "unknown is written",
        _ROOM,
        "a commit whose end is not known is taken for written",
        "I5, I6",
        (
            f"{_LOOP}._recover",
            "written = self._commits != commits",
            "written = self._commits != commits or isinstance(error, OutcomeUnknown)",
        ),
    ),
    defect(
        "refused batch is lost",
        _ROOM,
        "what a refused batch took is not taken again",
        "L, judge",
        (f"{_LOOP}._recover", "self._again.appendleft(taken)", "pass"),
    ),
    defect(
        "ready is lost",
        _ROOM,
        "what was ready when a batch was refused is forgotten",
        "L, judge",
        (f"{_LOOP}._recover", "self._ready.extend(started)", "pass"),
    ),
    defect(
        "memory outlives the refusal",
        _ROOM,
        "after a refused batch flows go on from what they would have become",
        "I2",
        (f"{_LOOP}._recover", "    self._live.clear()\n", ""),
    ),
    defect(
        "promised ids again",
        _ROOM,
        "after a refused batch ids that were promised are given again",
        "I2, I4",
        (f"{_LOOP}._recover", "max(self._next_flow, next_flow)", "self._next_flow"),
    ),
    defect(
        "one bad apple",
        _ROOM,
        "a batch that the database refuses is not searched: its first event is blamed",
        "judge",
        (f"{_LOOP}._recover", "elif len(taken) > 1:", "elif not taken:"),
    ),
    defect(
        "spoiled checkpoint",
        _ROOM,
        "a flow whose step failed goes on from the checkpoint that the step has spoiled",
        "I1, judge",
        (
            f"{_STEPPING}._fail",
            "failed = self._live.pop(flow_id, None)",
            "failed = self._live.get(flow_id)",
        ),
    ),
    defect(
        "failed step keeps its rows",
        _ROOM,
        "what the services of a failed step wrote is committed",
        "judge",
        (f"{_STEPPING}._step", "tx.finish(keep=False)", "tx.finish(keep=True)"),
    ),
    defect(
        "failed step forgets its letter",
        _ROOM,
        "a step that fails loses what had arrived, and acknowledges it",
        "I6",
        (
            "flowrt.core.engine:admit",
            "        _arrive(checkpoint, event, commit)\n",
            "        pass\n",
        ),
    ),
    defect(
        "second event in a batch is lost",
        _ROOM,
        "a flow that is ready twice in one batch does not go on after it",
        "L",
        (
            f"{_STEPPING}._step",
            "        turn.resumed[flow_id] = None\n        return",
            "        return",
        ),
        (f"{_STEPPING}._write", "            turn.resumed[flow_id] = None\n", "            pass\n"),
    ),
    defect(
        "child does not begin",
        _ROOM,
        "a flow that was started begins only when the node opens again",
        "L",
        (f"{_STEPPING}._step", "turn.resumed[child] = None", "pass"),
    ),
    defect(
        "late child begins at once",
        _ROOM,
        "a flow that is to start later starts now",
        "I13",
        (
            f"{_STEPPING}._started",
            "engine.begin(one.flow, kind, one.start, flow_id, one.due_us)",
            "engine.begin(one.flow, kind, one.start, flow_id, 0)",
        ),
        (f"{_STEPPING}._started", "(encode(child), one.due_us)", "(encode(child), 0)"),
    ),
    defect(
        "parent is not told",
        _ROOM,
        "the end of a flow does not reach who started it",
        "L",
        (f"{_STEPPING}._write", "(extra.parent, *extra.followers)", "extra.followers"),
    ),
    defect(
        "key is kept",
        _ROOM,
        "the business key of a flow that has ended is not free",
        "I16",
        (f"{_STEPPING}._write", "batch.keys[name, checkpoint.extra.key] = None", "pass"),
    ),
    defect(
        "retried at once",
        _ROOM,
        "a step that failed for a while is tried again before its time",
        "I23",
        (f"{_ADMISSION}.admit", "append((next_us, flow_id))", "append((now_us, flow_id))"),
        (f"{_ADMISSION}.is_due", "known.next_us > self._world.now_us", "False"),
        (f"{_LOOP}._visit", "known.next_us > now_us", "False"),
    ),
    defect(
        "tries are forgotten",
        _ROOM,
        "a new process counts a patient's tries from the beginning",
        "I23",
        ("flowrt.hospital.ward:Ward.admit", "patient.kind, patient.tries,", "patient.kind, 0,"),
    ),
    defect(
        "nobody looks at patients",
        _ROOM,
        "after a restart no patient is tried again by itself",
        "L",
        ("flowrt.hospital.ward:Ward.load", "if patient.next:", "if False:"),
    ),
    defect(
        "discharged unhealed",
        _ROOM,
        "a patient is discharged when something arrives for it",
        "I16, I23",
        (f"{_ADMISSION}.is_cured", "known is None or checkpoint.admitted", "known is None"),
        (f"{_ADMISSION}.is_cured", "return commit.ran or", "return True or"),
    ),
    defect(
        "trouble is not told",
        _ROOM,
        "the tracker of a flow that is in the hospital says nothing of it",
        "I14",
        (
            f"{_ADMISSION}.admit",
            "self.tell(checkpoint, commit, told, said, patient)",
            "pass",
        ),
    ),
    defect(
        "recovery is not told",
        _ROOM,
        "the tracker of a flow that has left the hospital still says that it is there",
        "I14",
        (
            f"{_ADMISSION}.tells",
            "elif is_cured and commit.outcome is None:",
            "elif is_cured and commit.outcome is not None:",
        ),
    ),
    defect(
        "operations are not begun again",
        _ROOM,
        "after a restart nobody sees to the operations that ran",
        "L",
        (f"{_STEPPING}._write", "(data, 0 if wants else due_us)", "(data, due_us)"),
    ),
    defect(
        "operation before the commit",
        _ROOM,
        "an operation begins before the step that asks for it is written",
        "I3",
        (
            f"{_LOOP}._commit",
            "    batch = turn.batch\n",
            "    batch = turn.batch\n    self._run_operations(turn)\n",
        ),
    ),
    defect(
        "key of the attempt",
        _ROOM,
        "each attempt of an operation has a key of its own",
        "I3",
        (f"{_OPERATIONS}._run", '{wanted.number}"', '{wanted.number}-{begun}"'),
    ),
    defect(
        "once is again",
        _ROOM,
        "an operation that may run only once runs again after a restart",
        "I3",
        (f"{_OPERATIONS}.see_to", "found.once and key not in self._allowed", "False"),
    ),
    defect(
        "once is tried again",
        _ROOM,
        "an operation that may run only once is tried again after it failed",
        "I3",
        (f"{_OPERATIONS}._failed", "found.once or failures", "failures"),
    ),
    defect(
        "begun twice",
        _ROOM,
        "a process begins again what it has begun",
        "I3",
        (f"{_OPERATIONS}.see_to", "if key in self._known:", "if key in self._failures:"),
    ),
    defect(
        "failure is an end",
        _ROOM,
        "an operation that failed is not tried again",
        "L",
        (f"{_OPERATIONS}.try_again", "self._begin(found, wanted, begun)", "pass"),
    ),
    defect(
        "timer keeps the later",
        _ROOM,
        "a flow that must be looked at earlier than was said is looked at too late",
        "L, judge",
        (f"{_TIMERS}.set", "known <= due_us", "known >= due_us"),
    ),
    defect(
        "timer lost at a restart",
        _ROOM,
        "a new process does not know when its flows wake",
        "L",
        (f"{_LOOP}._open_store", "self._timers.clear()", "pass"),
    ),
    defect(
        "nothing is read behind the nearest timers",
        _ROOM,
        "a time that was too far away to be kept in memory is never read from the store",
        "L",
        (
            f"{_TIMERS}._read_on",
            "rows[-1] if len(rows) == self._nearest else None",
            "None",
        ),
    ),
    defect(
        "far timers are forgotten, not left to the store",
        _ROOM,
        "of too many times the farthest are dropped, and nobody knows that there are more",
        "L",
        (f"{_TIMERS}._shorten", "self._horizon = nearest[-1]", "pass"),
    ),
    defect(
        "a running operation's time is left to the store",
        _ROOM,
        "a time limit is dropped as if the flow's row had it, which says something else",
        "I13",
        (f"{_TIMERS}.set", "    if pinned:", "    if False:"),
    ),
    defect(
        "nothing is sent behind a full window",
        _ROOM,
        "frames that found no room are never read from the store again",
        "I16, L",
        (f"{_OUTBOX}.acknowledged", "self._hungry[peer] = lane", "pass"),
    ),
    defect(
        "frames overtake what waits in the store",
        _ROOM,
        "a frame is sent though older ones wait, which are taken for sent then",
        "I16",
        (f"{_OUTBOX}.send", "lane.later or ", ""),
    ),
    defect(
        "what a busy peer has before it is never sent again",
        _ROOM,
        "a frame that was lost is not sent again because the peer took another one since",
        "I16, L",
        (
            f"{_OUTBOX}.send_again",
            "queue.append((latest_us, number, lane.taken))",
            "pass",
        ),
    ),
    defect(
        "gone before that is written",
        _ROOM,
        "a flow that ended in a batch that was refused is not looked for any more",
        "I2, L",
        (
            f"{_STEPPING}._write",
            "turn.gone.append(flow_id)",
            "turn.gone.append(flow_id)\n        self._gone[flow_id] = None",
        ),
    ),
    defect(
        "a forgotten flow is read without its change",
        _ROOM,
        "a flow that was forgotten within a batch is loaded from the store, not from the batch",
        "I2",
        (
            f"{_STEPPING}._checkpoint",
            "written = turn.batch.flows.get(flow_id, 0)",
            "written = 0",
        ),
    ),
    defect(
        "stale timer is not set again",
        _ROOM,
        "a timer that rings too early after the clock was set back is forgotten",
        "L",
        (
            f"{_STEPPING}._step",
            "turn.timers.append((due_us, flow_id, runs_outside(checkpoint)))",
            "pass",
        ),
    ),
    defect(
        "schedule is not written",
        _ROOM,
        "that a schedule has fired is not written with the flow that it started",
        "I13",
        (f"{_AGENDA}._fire", "turn.batch.schedules[schedule.name] = row", "pass"),
    ),
    defect(
        "schedule fires once",
        _ROOM,
        "a schedule that has fired never comes again",
        "judge",
        (f"{_SCHEDULES}.fired", "    heapq.heappush(self._due, (due_us, name))\n", ""),
    ),
    defect(
        "refused schedule fires again",
        _ROOM,
        "a schedule that became due twice, because a batch was refused, fires twice",
        "I13",
        (f"{_AGENDA}._fire", "not self._schedules.is_due(schedule, self._world.now_us)", "False"),
    ),
    defect(
        "commit skipped",
        _ROOM,
        "a batch that only deletes acknowledged rows is told, but not written",
        "I16",
        (f"{_LOOP}._commit", "        or batch.settled\n", ""),
    ),
    defect(
        "session is not counted",
        _ROOM,
        "a session that a peer has begun does not count for it",
        "I18",
        (f"{_STEPPING}._count", "peer.sessions + sessions", "peer.sessions"),
    ),
    defect(
        "session stays counted",
        _ROOM,
        "a session that is over counts for its peer for ever",
        "I18",
        (f"{_STEPPING}._count", "peer.sessions + sessions", "peer.sessions + max(0, sessions)"),
    ),
    defect(
        "what was read stays counted",
        _ROOM,
        "a message that a flow has read counts for its peer for ever",
        "I18",
        (f"{_STEPPING}._count", "peer.unread + messages", "peer.unread + max(0, messages)"),
    ),
    defect(
        "crowd is let in",
        _ROOM,
        "a peer may have any number of sessions",
        "I18",
        (f"{_QUOTAS}.is_crowded", "return known.sessions", "return 0 * known.sessions"),
    ),
    defect(
        "everything is kept",
        _ROOM,
        "flows may keep any number of a peer's messages unread",
        "I18",
        (f"{_QUOTAS}._may_keep", "return known.unread <", "return 0 * known.unread <"),
    ),
    defect(
        "over the quota, yet acknowledged",
        _ROOM,
        "a message that is over a peer's limit is acknowledged, and lost",
        "J5",
        (
            f"{_STEPPING}._step",
            'self._quotas.refuse(peer, "a message that no flow reads now is not taken")',
            "turn.acknowledge(peer, job.outbox_id)",
        ),
    ),
    defect(
        "bucket is not filled",
        _ROOM,
        "invitations that were too many once are never looked at again",
        "L",
        (f"{_QUOTAS}.may_invite", "limits.invitations_per_s", "0"),
    ),
    defect(
        "no window",
        _ROOM,
        "the whole outbox is in memory and under way",
        "I18",
        (f"{_OUTBOX}._fits", "return lane.under_way < limits.window and", "return"),
    ),
    defect(
        "window does not move",
        _ROOM,
        "what waits behind the window is never sent",
        "L",
        (f"{_OUTBOX}.acknowledged", "self._hungry[peer] = lane", "pass"),
    ),
    defect(
        "operation keeps its place",
        _ROOM,
        "an operation that has ended makes no room for the next one",
        "L",
        (f"{_OPERATIONS}._run", "self._running[line] -= 1", "pass"),
    ),
)

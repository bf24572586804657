"""Which scenarios docs/conformance.md must answer for: ids, nothing else.

CS ids are scenarios that R3 Corda's own tests tell, those marked as most discriminating; C ids are
scenarios from the tests of Temporal, Restate, DBOS, the AWS durable execution SDK and Corda, and
from Jepsen's reports.
"""

from __future__ import annotations

CORDA = """
CS-001 CS-002 CS-008 CS-011 CS-012 CS-015 CS-017 CS-018 CS-019 CS-024 CS-026 CS-027 CS-034
CS-040 CS-041 CS-042 CS-044 CS-045 CS-048 CS-050 CS-057 CS-060 CS-061 CS-063
CS-070 CS-071 CS-072 CS-080 CS-081 CS-086 CS-093 CS-094
CS-110 CS-111 CS-114 CS-120 CS-122 CS-125 CS-141 CS-142 CS-143 CS-145
CS-160 CS-162 CS-164
CS-170 CS-171 CS-172 CS-173 CS-176
CS-210 CS-211 CS-212 CS-213 CS-214 CS-215 CS-216 CS-218 CS-219
CS-235
"""

OTHERS = """
C02 C03 C04 C06 C07 C08 C10 C11 C12 C14 C15 C16 C18 C19 C20 C22 C23 C24 C26 C27 C28 C30 C31 C32 C34
C35 C36 C38 C39 C40 C42 C43 C44 C46 C47 C48 C50 C51 C52 C54 C55 C56 C58 C59 C60 C62 C63 C64 C66 C67
C68 C70 C71 C72 C74 C75 C76 C78 C79 C80
"""

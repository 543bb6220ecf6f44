"""Attacks over sockets: the peer is answered, memory stays bounded, and nobody else waits for long."""

import pytest
from tests.driver.harness import Serving
from tests.hostile.bank import BANK, Attack
from tests.hostile.beside import Target, beside

pytestmark = pytest.mark.anyio

MOST_TURNS = 3
"""So many turns a request may wait beside an attack: one passes anyway, and a turn may be under way."""
MOST_TOGETHER = 32
"""So many requests of one connection are handled at most in one turn."""
LONGEST_ECHO = 300


@pytest.mark.parametrize("attack", BANK, ids=lambda attack: attack.name)
async def test_an_attack_gets_its_answer_and_costs_nobody_else(serving: Serving, attack: Attack) -> None:
    target = Target()
    async with serving(target) as server:
        seen = await beside(server, target, attack)
    assert seen.statuses == [attack.status] * attack.responses
    assert seen.memory <= attack.memory
    assert seen.turns <= MOST_TURNS
    assert seen.together <= MOST_TOGETHER
    assert seen.healthy > 0
    assert len(seen.body) <= LONGEST_ECHO

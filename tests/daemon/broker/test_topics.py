"""How the topics of the configuration are to be made."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from daemon.broker import topics
from tests.daemon.config.sample import TEXT, examined

DAY = 86400.0


@pytest.mark.parametrize("within", [3 * DAY, 29 * DAY, 60 * DAY])
def test_what_became_of_a_message_is_kept_longer_than_the_message_while_it_was_parked(
    tmp_path: Path, within: float
) -> None:
    config = examined(tmp_path, TEXT).config
    accounts = {
        name: msgspec.structs.replace(account, report_within=within)
        for name, account in config.accounts.items()
    }
    config = msgspec.structs.replace(config, accounts=accounts)
    made = {topic.name: topic for topic in topics(config)}
    parked, state = made["sms.parked"].retain, made["sms.state"].retain
    assert parked is not None
    assert state is not None
    assert parked >= 7 * DAY + within, "it may wait for its time, and for its route"
    assert state > parked, "a message that ended must not come to life again"
    assert state > config.daemon.remember_ids

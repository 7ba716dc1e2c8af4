"""The mutations: what each breaks, how, and the tests that must not pass with it.

Sections are the contract's.  Where a promise is kept in two places, both are broken together; where
it is broken in two ways, there are two mutations.  Tests are the quickest that there are.
"""

from __future__ import annotations

from .mutant import Edit, Mutation, Value

DAEMON = "tests/daemon/"
LIFE = f"{DAEMON}life/"
ENGINE = f"{DAEMON}engine/"
LISTS = f"{ENGINE}test_lists.py::"
SESSIONS = "tests/protocols/test_sessions.py::"
AFTER_A_CRASH = "test_after_a_crash_only_what_was_claimed_is_in_doubt"
GUESS = "test_an_unmatched_report_stands_for_the_only_part_in_doubt"


def breaks(promise: str, *changes: Edit | Value, by: tuple[str, ...] | str) -> Mutation:
    return Mutation(promise, changes, (by,) if isinstance(by, str) else by)


NO_JOB_IS_LOST = (
    breaks(
        "6.1 an offset moves only past the oldest open record",
        Edit(
            "daemon.offsets:Offsets.moved",
            "self._next.get(place) if held is None else held[0]",
            "self._next.get(place)",
        ),
        by=(
            f"{DAEMON}test_offsets.py::test_the_oldest_open_record_holds_those_behind_it",
            f"{ENGINE}test_durable.py::test_a_message_in_doubt_holds_its_offset_and_all_behind_it",
        ),
    ),
    breaks(
        "6.1 a job's record is open until its last message is safe",
        Edit(
            "daemon.offsets:Offsets._ended",
            "if not mids:\n            jobs",
            "if True:\n            jobs",
        ),
        by=f"{DAEMON}test_offsets.py::test_a_job_holds_its_record_until_its_last_message_is_safe",
    ),
    breaks(
        "6.1 records are held in their order",
        Edit(
            "daemon.intake:Intake._sort_out",
            "messages += self._fresh(fresh, at, c)\n            fresh = []\n            self._dead",
            "self._dead",
        ),
        Edit("daemon.intake:Intake._fresh", "len(to) > 1 or ", ""),
        by=tuple(
            f"{ENGINE}test_intake.py::"
            f"test_what_is_held_in_other_ways_does_not_overtake_the_records_before_it[{kind}]"
            for kind in ("dead", "several")
        ),
    ),
    breaks(
        "6.1 a message in doubt is not safe",
        Edit("daemon.lapse:Lapse.uncertain", "c.touch(m)", "c.touch(m); c.safe.append(m)"),
        by=f"{ENGINE}test_durable.py::test_a_message_in_doubt_holds_its_offset_and_all_behind_it",
    ),
    breaks(
        "6.1 writes, offsets and receipts wait for the disk",
        Edit(
            "daemon.keeping:Keeping.commit",
            "self.ledger.put(entries, partial(self._durable, c))",
            "self.ledger.put(entries, None); self._durable(c)",
        ),
        by=tuple(
            f"{ENGINE}test_durable.py::test_{name}"
            for name in (
                "a_report_is_acknowledged_only_once_what_came_of_it_is_on_the_disk",
                "an_inbound_message_is_acknowledged_only_once_it_is_on_the_disk",
                "nothing_is_written_before_the_claim_that_names_it_is_on_the_disk",
                "an_offset_moves_past_a_message_only_once_its_answer_is_on_the_disk",
            )
        ),
    ),
    breaks(
        "6.1 an offset waits until others can know the outcome",
        Edit("daemon.offsets:Offsets.release_with", "if batch > self._published:", "if False:"),
        by=f"{DAEMON}test_offsets.py::test_what_is_told_to_others_is_safe_only_once_that_is_published",
    ),
    breaks(
        "6.1 what is published is forgotten only then",
        Edit("daemon.outbox:Outbox._finish", "await publish.done", "pass"),
        by=f"{DAEMON}test_outbox.py::test_while_the_broker_is_away_memory_is_bounded_and_nothing_is_lost",
    ),
    breaks(
        "6.1 what was acknowledged survives a restart: inbound",
        Edit(
            "daemon.inbound:Inbound.came",
            "elif keep is not None and raw is not None:",
            "elif False:",
        ),
        by=f"{LIFE}test_inbound.py::test_half_a_message_survives_a_restart_and_is_joined_after_it",
    ),
    breaks(
        "6.1 what was acknowledged survives a restart: reports",
        Edit("daemon.reports:Reports._keep", "c.entries.keeps.append(", "str("),
        by=f"{ENGINE}test_hold.py::test_a_report_that_came_before_its_answer_survives_a_crash",
    ),
    breaks(
        "6.1 repeated ids find their message",
        Edit("daemon.ledger.ids:Ids.known", "return known", "return {}"),
        by=f"{ENGINE}test_intake.py::test_a_repeat_after_a_restart_holds_until_the_first_is_safe",
    ),
    breaks(
        "6.1 an id with other content is dead",
        Edit("daemon.intake:Intake._sort_out", "if before[1] != digest:", "if False:"),
        by=f"{ENGINE}test_intake.py::test_a_repeat_in_the_same_batch_holds_its_record_as_long_as_the_first",
    ),
)

NOTHING_IS_SENT_TWICE_WITHOUT_NEED = (
    breaks(
        "6.2 a list in doubt is resolved member by member",
        Edit(
            "daemon.lists:may_join",
            "part.state is PartState.UNSENT and not (part.doubts or ",
            "part.state is PartState.UNSENT and not (",
        ),
        by=f"{LISTS}test_a_list_in_doubt_is_resolved_member_by_member",
    ),
    breaks(
        "6.2 what was claimed before a crash is in doubt after it",
        Edit("daemon.recovery:recover", "_doubt(message, number, at, account, named)", "continue"),
        by=f"{ENGINE}test_failover.py::{AFTER_A_CRASH}",
    ),
    breaks(
        "6.2 a claim holds until the last message it names is answered",
        Edit("daemon.claims:Claims.release", "if left > messages:", "if False:"),
        by=f"{DAEMON}test_claims.py::test_each_claim_is_done_with_its_last_message",
    ),
    breaks(
        "6.2 what was taken back is not in doubt",
        Edit("daemon.recovery:recover", "message.released >= number", "False"),
        by=f"{ENGINE}test_doubt.py::test_a_throttled_part_is_not_in_doubt_after_a_crash",
    ),
    breaks(
        "6.2 at most the window is in doubt",
        Edit("daemon.link:Link.room", "return room - self.reserved", "return room"),
        by=f"{ENGINE}test_shares.py::test_no_more_is_claimed_for_a_link_than_its_window_while_the_disk_is_slow",
    ),
    breaks(
        "6.2 a part in doubt is held for its report",
        Edit(
            "daemon.lapse:Lapse.hold_from",
            "self.hold if m.job.fields.report else 0.0",
            "0.0",
        ),
        by=f"{ENGINE}test_way.py::test_a_message_in_doubt_is_written_once_more_after_its_hold",
    ),
    breaks(
        "6.2 without a report there is nothing to hold for",
        Edit(
            "daemon.lapse:Lapse.hold_from",
            "self.hold if m.job.fields.report else 0.0",
            "self.hold",
        ),
        by=f"{ENGINE}test_failover.py::test_without_reports_there_is_nothing_to_hold_for",
    ),
    breaks(
        "6.2 after a restart the hold runs from there",
        Edit("daemon.recovery:_resume", "at = wall()", "at = wall() - 60.0"),
        by=f"{ENGINE}test_hold.py::test_after_a_restart_the_hold_runs_from_there",
    ),
    breaks(
        "6.2 there are at most two attempts",
        Edit("daemon.lapse:Lapse.woken", "part.doubts < 2", "part.doubts < 9"),
        Edit("daemon.lapse:Lapse._may_resend", "p.doubts < 2", "p.doubts < 9"),
        by=f"{ENGINE}test_failover.py::test_after_two_attempts_without_an_answer_it_ends_without_a_third",
    ),
    breaks(
        "6.2 only the parts without an answer go once more",
        Edit("daemon.lapse:Lapse.woken", "part.state is PartState.IN_DOUBT and ", ""),
        by=f"{ENGINE}test_failover.py::test_only_the_part_without_an_answer_goes_once_more",
    ),
    breaks(
        "6.2 they go over the same account",
        Edit("daemon.account:Account.left", "if message.written:", "if False:"),
        by=f"{ENGINE}test_hold.py::test_a_part_that_never_left_stays_with_the_account_that_wrote_another",
    ),
    breaks(
        "6.2 they have the same reference",
        Edit("daemon.prepare:Preparing._cut", "if m.submitted is None:", "if True:"),
        by=f"{ENGINE}test_hold.py::test_after_a_restart_the_same_parts_go_once_more",
    ),
    breaks(
        "6.2 all parts go over one bind",
        Edit(
            "daemon.account:Account._ready_again",
            "any(part.state is not UNSENT for part in message.parts)",
            "False",
        ),
        by=f"{ENGINE}test_shares.py::test_what_is_left_of_a_message_waits_for_the_bind_that_has_the_rest",
    ),
    breaks(
        "6.2 nothing is resent past expires_at",
        Edit("daemon.lapse:Lapse.gone", "wall >= expires", "False"),
        by=f"{ENGINE}test_failover.py::test_what_is_in_doubt_is_not_resent_past_its_expiry",
    ),
    breaks(
        "6.2 under wait nothing is sent again",
        Edit("daemon.lapse:Lapse._may_resend", "if not resend or ", "if "),
        by=f"{ENGINE}test_failover.py::test_under_wait_nothing_is_sent_again",
    ),
    breaks(
        "6.2 a late answer finds its part",
        Edit(
            "protocols.session:Session._answered",
            "return self._late.pop(sequence, None)",
            "return None",
        ),
        by=f"{SESSIONS}test_silence_past_the_answer_time_frees_the_slot_and_a_late_answer_still_counts",
    ),
    breaks(
        "6.2 a late answer ends the doubt",
        Edit(
            "daemon.settle:Settle.accepted",
            "WRITTEN, IN_DOUBT, UNSENT",
            "WRITTEN, UNSENT",
        ),
        by=f"{ENGINE}test_hold.py::test_a_late_answer_within_the_hold_saves_the_resend",
    ),
    breaks(
        "6.2 a report of no known id is a guess",
        Edit("daemon.correlate:Correlate.guess", "return places[0]", "return None"),
        by=f"{ENGINE}test_failover.py::{GUESS}[1-True]",
    ),
    breaks(
        "6.2 a guess is made after two seconds",
        Value("daemon.correlate:GUESS_AFTER", 0.0),
        by=f"{ENGINE}test_failover.py::{GUESS}[1-True]",
    ),
    breaks(
        "6.2 a guess is about what was written before the report came",
        Edit("daemon.correlate:Correlate.guess", "came = early.since", "came = 1e12"),
        by=tuple(
            f"{ENGINE}test_reports.py::"
            f"test_a_report_is_never_about_a_part_that_was_written_after_it_came[{case}]"
            for case in ("came once-link lost", "came again-crash")
        ),
    ),
    breaks(
        "6.2 a guess is made when exactly one part is in doubt",
        Edit(
            "daemon.correlate:Correlate.guess",
            "if early.ambiguous or not places",
            "if not places",
        ),
        by=f"{ENGINE}test_failover.py::{GUESS}[2-False]",
    ),
    breaks(
        "6.2 a guess is made when no other part of the message may be meant",
        Edit("daemon.correlate:Correlate.guess", "if any(", "if False and any("),
        by=f"{DAEMON}test_correlate.py::test_a_report_is_not_about_a_part_whose_sibling_may_be_meant_though_not_in_doubt",
    ),
)

LIFE_CYCLE = (
    breaks(
        "2 SIGTERM waits for the answers that are owed",
        Edit("daemon.handover:Handover.answered_by", "while self._unanswered():", "while False:"),
        by=f"{LIFE}test_drain.py::test_a_drain_waits_for_the_answers_that_are_owed_and_tells_them",
    ),
    breaks(
        "2 SIGTERM waits no longer than drain_within",
        Edit(
            "daemon.handover:Handover.answered_by", "if self.loop.time() >= deadline:", "if False:"
        ),
        by=f"{LIFE}test_drain.py::test_a_drain_takes_no_longer_than_it_may",
    ),
    breaks(
        "2 SIGHUP leaves other binds alone",
        Edit("daemon.pool:Pool.change", "if anew or place is None:", "if True:"),
        by=f"{LIFE}test_hangup.py::test_nodes_come_and_go_while_the_others_stay_connected",
    ),
    breaks(
        "2 SIGHUP takes over secrets",
        Edit("daemon.reload:binds_anew", "getattr(old, key) != getattr(new, key)", "False"),
        by=f"{DAEMON}test_reload.py::test_credentials_and_the_window_make_binds_anew",
    ),
)

SEVERAL_DAEMONS = (
    breaks(
        "6.1 a partition is ours once all that was told of it is known",
        Edit("daemon.homes:Homes.assigned", "self._own(self.owned - lost)", "self._own(places)"),
        by=f"{DAEMON}test_homes.py::test_a_partition_is_ours_once_it_was_adopted_and_not_before",
    ),
    breaks(
        "6.1 what was given away is not ours",
        Edit("daemon.homes:Homes.assigned", "self._own(self.owned - lost)", "pass"),
        by=f"{DAEMON}test_homes.py::test_what_was_given_away_is_not_ours_and_what_stayed_is",
    ),
    breaks(
        "6.2 nothing is written during a rebalance",
        Edit("daemon.homes:Homes.paused", "self.rebalancing or ", ""),
        by=f"{DAEMON}test_homes.py::test_nothing_is_written_between_a_revocation_and_the_assignment_that_follows",
    ),
    breaks(
        "6.2 nothing is written out of contact with the group",
        Edit("daemon.homes:Homes.paused", " or self.unsure", ""),
        by=f"{DAEMON}test_homes.py::test_nothing_is_written_while_the_group_may_have_given_our_partitions_away",
    ),
    breaks(
        "6.1 what others were not told of keeps its places in the window",
        Edit("daemon.link:Link._allowed", "min(allowed, self.untold.places())", "allowed"),
        by=f"{ENGINE}test_untold.py::test_no_more_is_sent_than_the_window_before_others_were_told[long]",
    ),
    breaks(
        "6.1 so do the answered parts of a message that is not answered whole",
        Edit("daemon.untold:Untold._halves", "sum(part.state in TAKEN", "sum(False"),
        by=f"{ENGINE}test_untold.py::test_the_parts_of_a_message_keep_their_places_until_all_are_answered_and_told",
    ),
)

STOPS = (
    breaks(
        "2 a stop leaves what was written",
        Edit("daemon.stops:Stops.cover", "return named and unwritten(m)", "return named"),
        by=f"{DAEMON}test_stops.py::test_it_leaves_what_a_gateway_may_have",
    ),
    breaks(
        "2 a stop leaves what is produced after it",
        Edit("daemon.stops:Stops._by_account", "produced <= self._at", "0.0 <= self._at"),
        by=f"{DAEMON}test_stops.py::test_it_covers_what_was_produced_until_then[1000.001-False]",
    ),
    breaks(
        "2 a stop reaches what waits in the ledger",
        Edit("daemon.stopping:Stopping.carry_out", "stopped += self._reject(found)", "pass"),
        by=f"{ENGINE}test_waiting.py::test_a_stop_ends_what_waits_in_memory_parked_and_held_and_leaves_what_was_written",
    ),
    breaks(
        "2 a stop reaches what is claimed",
        Edit("daemon.link:Link.flush", "self._as_of == wanted.revision", "True"),
        by=f"{ENGINE}test_give_back.py::test_what_is_stopped_when_it_is_claimed_and_waits_for_the_pace_is_not_written",
    ),
    breaks(
        "2 a stop is known after a restart",
        Edit("daemon.stopping:Stopping.note", "c.entries.keeps.append(", "str("),
        by=f"{ENGINE}test_waiting.py::test_a_stop_reaches_jobs_that_are_taken_after_it_and_not_those_produced_after_it",
    ),
)

ONE_CARRIERS_TROUBLE_STAYS_ITS_OWN = (
    breaks(
        "6.3 what waits for a minute is parked",
        Edit("daemon.parking:Parking._waited", "at - m.job.received >= self.after", "False"),
        by=f"{ENGINE}test_waiting.py::test_what_waits_a_minute_for_an_account_leaves_memory_and_holds_no_offset",
    ),
    breaks(
        "6.3 what is parked is outside the watermark",
        Edit("daemon.parking:Parking.hold", "c.safe.append(m)", "pass"),
        by=f"{ENGINE}test_waiting.py::test_what_waits_a_minute_for_an_account_leaves_memory_and_holds_no_offset",
    ),
    breaks(
        "6.3 a not_before that is far away is parked",
        Edit("daemon.parking:Parking.far", "not_before - at > self.after", "False"),
        by=f"{ENGINE}test_waiting.py::test_what_may_not_go_for_more_than_a_minute_holds_no_offset_and_goes_in_its_time",
    ),
    breaks(
        "6.3 what is parked is taken back",
        Edit(
            "daemon.refill:Refill._fill",
            "State.PARKED if parked else State.WAITING",
            "State.WAITING",
        ),
        by=f"{ENGINE}test_waiting.py::test_what_is_parked_survives_a_crash_and_goes_out_once",
    ),
    breaks(
        "6.3 the jobs of others are taken past a backlog of an account at its rate",
        Edit(
            "daemon.intake:Intake._ours",
            "if serving is not None and not accounts[serving].at_its_pace(now):",
            "if serving is not None:",
        ),
        by=f"{ENGINE}test_intake.py::test_a_backlog_of_an_account_at_its_rate_does_not_delay_the_jobs_of_others",
    ),
    breaks(
        "6.3 the jobs of others are taken past a backlog that drains",
        Edit(
            "daemon.intake:Intake._make_room",
            "if now >= began + HUNGRY_AFTER and self._hungry(now):",
            "if False:",
        ),
        by=f"{ENGINE}test_intake.py::test_a_backlog_of_a_slow_gateway_does_not_delay_the_jobs_of_others",
    ),
    breaks(
        "6.3 jobs are taken past a backlog that does not drain",
        Edit(
            "daemon.intake:Intake._make_room",
            "if drained <= 0 or left / drained * (now - at) > SOON:",
            "if False:",
        ),
        by=f"{ENGINE}test_intake.py::test_what_comes_behind_a_gateway_that_does_not_answer_is_taken_all_the_same",
    ),
    breaks(
        "6.3 memory is bounded whatever waits",
        Edit(
            "daemon.queues:RouteQueue.offer_all",
            "0 if self.spilled[lane] else max(0, MOST_IN_MEMORY - self.lanes.waiting[lane])",
            "len(messages)",
        ),
        by=f"{DAEMON}test_queues.py::test_a_full_lane_leaves_the_rest_to_the_ledger",
    ),
    breaks(
        "6.3 memory is bounded while the broker is away",
        Edit(
            "daemon.outbox:Outbox.put",
            "self._behind or self._in_memory > MOST_IN_MEMORY",
            "self._behind",
        ),
        by=f"{DAEMON}test_outbox.py::test_while_the_broker_is_away_memory_is_bounded_and_nothing_is_lost",
    ),
    breaks(
        "6.3 a node that throttles does not slow the others",
        Edit(
            "daemon.answers:Answers.rejected",
            "slower = all(now < other.paused_until for other in account.takers())",
            "slower = True",
        ),
        by=f"{ENGINE}test_shares.py::test_what_one_node_throttles_flows_through_the_other_at_the_full_rate",
    ),
    breaks(
        "6.3 what a node throttled goes where there is room",
        Edit("daemon.account:Account._ready_again", "if stays and link", "if link"),
        by=f"{ENGINE}test_shares.py::test_a_message_that_one_node_throttled_goes_over_the_other",
    ),
    breaks(
        "6.3 an account that is throttled everywhere slows down",
        Edit(
            "daemon.answers:Answers.rejected",
            "slower = all(now < other.paused_until for other in account.takers())",
            "slower = False",
        ),
        by=f"{ENGINE}test_shares.py::test_an_account_that_is_throttled_everywhere_slows_down_alone",
    ),
)

RATE_AND_WINDOW_ARE_NEVER_EXCEEDED = (
    breaks(
        "6.4 a gateway that becomes slow is given less",
        Edit("daemon.window:Window._cut", "self._limit = float(limit)", "pass"),
        by=(
            f"{DAEMON}test_window.py::test_a_gateway_with_more_than_it_can_do_is_kept_busy_and_not_stuffed",
            f"{ENGINE}test_adapt.py::test_a_full_gateway_is_kept_busy_with_a_short_queue_and_status_says_why",
        ),
    ),
    breaks(
        "6.4 a long way is not taken for a full gateway",
        Edit("daemon.window:Window._judged", "median > before * (0.6 + 0.4 * share)", "False"),
        by=f"{DAEMON}test_window.py::test_a_longer_way_is_told_from_a_queue_and_the_window_given_back",
    ),
    breaks(
        "6.4 what is left of the window is kept, also by long messages",
        Edit("daemon.link:Link._allowed", "self.free(now)", "self.session.room"),
        by=f"{ENGINE}test_adapt.py::test_long_messages_keep_to_the_window_that_is_left",
    ),
    breaks(
        "6.4 backing off never goes below the lowest rate",
        Edit("daemon.pacing:Pacer._cut", "max(self.lowest, pace)", "pace"),
        by=f"{DAEMON}test_pacing.py::test_the_pace_is_never_cut_below_the_lowest",
    ),
    breaks(
        "6.4 a gateway at its limit is not left for longer and longer",
        Edit("daemon.link:Link.throttled", "self.taken >= ENOUGH", "False"),
        by=f"{ENGINE}test_adapt.py::test_a_gateway_that_takes_less_than_the_rate_gets_nearly_all_it_takes",
    ),
    breaks(
        "6.4 at most the rate in any one second",
        Edit("daemon.pacing:Pacer.ready", "max(1, int(self.rate)) - self._last_second", "10**9"),
        by=f"{DAEMON}test_pacing.py::test_what_a_pause_saved_up_is_part_of_the_rate_of_its_second",
    ),
    breaks(
        "6.4 no burst that a gateway's own seconds would count twice",
        Edit("daemon.pacing:Pacer.ready", "min(int(self._tokens + WHOLE), within)", "within"),
        by=f"{DAEMON}test_pacing.py::test_a_pause_saves_up_a_twentieth_of_a_second_and_no_more",
    ),
    breaks(
        "6.4 a start has nothing to spend",
        Edit("daemon.pacing:Pacer.__init__", "self._tokens = 0.0", "self._tokens = rate"),
        by=f"{DAEMON}test_pacing.py::test_there_is_nothing_to_spend_at_start",
    ),
    breaks(
        "6.4 all binds together keep the rate",
        Edit("daemon.link:Link.flush", "self.pacer.take(len(written) - paced, now)", "pass"),
        by=f"{ENGINE}test_shares.py::test_all_links_of_an_account_together_keep_its_rate",
    ),
    breaks(
        "6.4 a list counts in the rate with every recipient",
        Edit("daemon.link:Link._write_list", "self.pacer.take(len(writes), now)", "pass"),
        by=f"{LISTS}test_a_list_counts_in_the_rate_with_every_recipient",
    ),
    breaks(
        "6.4 a gateway may get one list late and the next at once",
        Value("daemon.pacing:LIST_SECOND", 1.0),
        by=f"{DAEMON}test_pacing.py::test_a_gateway_that_gets_lists_late_counts_no_more_than_five_percent_above_the_rate",
    ),
    breaks(
        "6.4 no bind has more unanswered than its window",
        Edit(
            "protocols.session:Session.room",
            "self.limits.window - len(self._window)",
            "self.limits.window + 1 - len(self._window)",
        ),
        by=(
            f"{SESSIONS}test_a_full_window_takes_no_more",
            f"{ENGINE}test_shares.py::test_no_link_has_more_unanswered_than_its_window",
        ),
    ),
    breaks(
        "6.4 what is uncertain leaves the window",
        Edit(
            "protocols.session:Session._expire",
            "tag = self._window.pop(sequence)[1]",
            "tag = self._window[sequence][1]",
        ),
        by=f"{SESSIONS}test_silence_past_the_answer_time_frees_the_slot_and_a_late_answer_still_counts",
    ),
    breaks(
        "6.4 a bind on which nothing is answered is closed",
        Edit("protocols.session:Session._expire", "if silent:", "if False:"),
        by=f"{SESSIONS}test_a_bind_on_which_nothing_at_all_is_answered_in_time_is_closed",
    ),
)

SEQUENCES = (
    breaks(
        "6.2 an answer finds the one part that has its number",
        Edit(
            "protocols.session:Session._next_sequence",
            "if sequence not in self._window and sequence not in self._late:",
            "if True:",
        ),
        by=(
            f"{LIFE}test_numbers.py::test_a_sequence_that_still_waits_is_not_given_twice",
            "tests/protocols/test_sequences.py::test_a_probe_and_a_goodbye_take_no_number_that_waits_for_its_answer",
        ),
    ),
    breaks(
        "6.2 no number is out of its protocol's range",
        Value("protocols.session:Session.last_sequence", 0xFFFFFFFF),
        by="tests/protocols/test_sequences.py::test_after_the_last_number_comes_one",
    ),
)

FAILOVER = (
    breaks(
        "6.5 a larger priority is used only while no smaller one is usable",
        Edit(
            "daemon.account:Account._best",
            "if self.priorities.get(link.label, 0) == best",
            "if True",
        ),
        by=f"{ENGINE}test_shares.py::test_a_larger_priority_is_dealt_nothing_while_a_smaller_one_is_there",
    ),
    breaks(
        "6.5 a lost node's share flows through the others",
        Edit("daemon.account:Account.left", "in link.unload():", "in ():"),
        by=f"{ENGINE}test_failover.py::test_a_message_follows_its_route_until_its_first_part_is_written",
    ),
    breaks(
        "6.5 the first usable account of a route serves it",
        Edit("daemon.router:Router.changed", "if self.usable(name)", "if True"),
        by=f"{DAEMON}test_router.py::test_the_first_usable_account_of_a_route_serves_it",
    ),
    breaks(
        "6.5 a node is well again after one answered submit",
        Edit(
            "daemon.link:Link.room",
            "max(1, int(full * share)) if self.answered_since_bound else 1",
            "max(1, int(full * share))",
        ),
        by=f"{ENGINE}test_shares.py::test_a_link_that_came_back_has_one_until_it_answers_and_all_after_ten_seconds",
    ),
    breaks(
        "6.5 its share then grows",
        Edit(
            "daemon.link:Link.room",
            "max(1, int(full * share)) if self.answered_since_bound else 1",
            "full if self.answered_since_bound else 1",
        ),
        by=f"{ENGINE}test_shares.py::test_a_link_that_came_back_has_one_until_it_answers_and_all_after_ten_seconds",
    ),
    breaks(
        "6.5 and is full within ten seconds",
        Value("daemon.link:RAMP", 20.0),
        by=f"{ENGINE}test_shares.py::test_a_link_that_came_back_has_one_until_it_answers_and_all_after_ten_seconds",
    ),
    breaks(
        "6.5 a bind that comes back does so slowly",
        Edit("daemon.bind:Bind.on_event", "self.was_up and bool(self.account.links)", "False"),
        by=f"{ENGINE}test_shares.py::test_a_bind_that_comes_back_ramps_up_only_while_others_carry_its_share",
    ),
)

URGENCY = (
    breaks(
        "6.6 bulk has a tenth beside lists, too",
        Edit(
            "daemon.queues:Turns.count",
            "since if self._rivals else min(since, BULK_SHARE - 1)",
            "self._since_bulk + 1",
        ),
        by=f"{DAEMON}test_queues.py::test_bulk_gets_a_tenth_whatever_the_lists_of_both_lanes_have[99-1]",
    ),
    breaks(
        "6.6 urgent goes before everything",
        Edit(
            "daemon.queues:Turns.whose",
            "if waiting[URGENT]:",
            "if waiting[URGENT] and not waiting[NORMAL]:",
        ),
        by=f"{DAEMON}test_queues.py::test_a_tenth_of_what_urgent_leaves_is_bulk_though_urgent_comes_in_between",
    ),
    breaks(
        "6.6 urgent goes before what is claimed and not written",
        Edit(
            "daemon.dealing:Dealing.deal",
            "urgent_only = budget <= 0",
            "urgent_only = False",
        ),
        by=f"{ENGINE}test_pace.py::test_an_urgent_message_goes_before_parts_that_are_claimed_and_not_written",
    ),
    breaks(
        "6.6 urgent goes before what is claimed in a window of one",
        Edit(
            "daemon.dealing:Dealing._deal_out",
            "if left.room < 1 and link.takes(now) and self._has_urgent(link):",
            "if False:",
        ),
        by=f"{ENGINE}test_pace.py::test_an_urgent_message_goes_before_the_one_that_is_claimed_in_a_window_of_one",
    ),
    breaks(
        "6.6 urgent goes before a claim that has the last place",
        Edit("daemon.dealing:Dealing._slots", "if slots < 1:", "if False:"),
        by=f"{ENGINE}test_untold.py::test_an_urgent_message_goes_before_a_claim_that_has_the_last_place",
    ),
    breaks(
        "6.6 a long urgent message goes before one that is claimed",
        Edit(
            "daemon.dealing:Dealing._fits",
            "if size > room and message.lane == URGENT:",
            "if False:",
        ),
        by=f"{ENGINE}test_pace.py::test_a_long_urgent_message_goes_before_the_rest_of_one_that_is_claimed",
    ),
    breaks(
        "6.6 urgent waits for no answer to bulk",
        Value("daemon.link:KEPT", 1000),
        by=f"{ENGINE}test_kept.py::test_an_urgent_message_behind_bulk_waits_for_no_answer",
    ),
    breaks(
        "6.6 bulk gets a tenth though others leave no more than what is kept from it",
        Edit("daemon.queues:Turns.most_kept", "self._others < BULK_SHARE - 1", "True"),
        by=f"{ENGINE}test_kept.py::test_bulk_goes_on_while_others_always_leave_one_place[urgent]",
    ),
    breaks(
        "6.7 no place is kept from what alone gives places back",
        Edit("daemon.dealing:Dealing._gives_back", "left.slots < left.room", "False"),
        by=f"{ENGINE}test_kept.py::test_no_place_is_kept_from_the_rest_of_bulk_messages_that_have_all_others[2]",
    ),
    breaks(
        "6.6 a long message goes out beside a stream of urgent ones",
        Edit("daemon.link:Link.may_exceed", "return waited and", "return False and"),
        by=f"{ENGINE}test_pace.py::test_a_long_message_goes_out_beside_a_stream_of_urgent_ones[nine]",
    ),
    breaks(
        "6.6 bulk gets a tenth of what urgent leaves",
        Value("daemon.queues:BULK_SHARE", 1000),
        by=f"{DAEMON}test_queues.py::test_bulk_gets_one_of_ten_while_normal_waits",
    ),
    breaks(
        "6.6 normal goes before bulk",
        Value("daemon.queues:BULK_SHARE", 2),
        by=f"{DAEMON}test_queues.py::test_bulk_gets_one_of_ten_while_normal_waits",
    ),
)

EVERY_MESSAGE_REACHES_A_FINAL_STATE = (
    breaks(
        "6.7 what can never be written expires",
        Edit("daemon.lapse:Lapse.woken", "if m.out == 0:", "if False:"),
        by=f"{ENGINE}test_expiry.py::test_without_any_usable_account_a_message_ends_after_the_accounts_report_within",
    ),
    breaks(
        "6.7 what is never reported expires",
        Edit("daemon.lapse:Lapse.woken", 'self.expired(m, "LOCAL:NO_REPORT", wall, c)', "pass"),
        by=f"{ENGINE}test_reports.py::test_nothing_follows_the_end_of_a_message_that_memory_let_go_of_in_part",
    ),
    breaks(
        "6.7 what is never answered expires",
        Edit("daemon.lapse:Lapse.woken", 'self.expired(m, "LOCAL:NO_RESP", wall, c)', "pass"),
        by=f"{ENGINE}test_failover.py::test_under_wait_nothing_is_sent_again",
    ),
    breaks(
        "6.7 nothing follows the final event",
        Edit("daemon.settle:Settle.reported", "if m.final:", "if False:"),
        Edit("daemon.verdict:Verdict._progress", "if m.final:", "if False:"),
        Edit("daemon.verdict:Verdict._finish", "if m.final:", "if False:"),
        by=f"{ENGINE}test_reports.py::test_a_second_verdict_hard_on_the_first_changes_nothing",
    ),
    breaks(
        "6.7 failed is what failed in every attempt",
        Edit("daemon.settle:Settle._mark", "if key in part.failed_ids:", "if False:"),
        by=f"{ENGINE}test_reports.py::test_a_failure_given_twice_is_the_failure_of_one_attempt",
    ),
    breaks(
        "6.7 delivered is what was delivered with every part",
        Edit("daemon.verdict:Verdict._progress", "delivered = False", "pass"),
        by=f"{ENGINE}test_reports.py::test_parts_of_which_memory_has_let_go_of_one_still_give_one_verdict",
    ),
)

VERDICTS = (
    breaks(
        "5 a bad number costs the others of its list nothing",
        Edit("daemon.settle:Settle.rejected", "listed and meaning.cause not in COMMON", "False"),
        by=f"{LISTS}test_a_list_refused_for_a_number_goes_again_one_by_one",
    ),
    breaks(
        "5 a list that was refused is no list any more",
        Edit("daemon.lists:may_join", "(part.doubts or part.tries or part.flying)", "part.doubts"),
        by=f"{LISTS}test_a_list_refused_for_a_number_goes_again_one_by_one",
    ),
    breaks(
        "5 a list's id names its recipients only together with their numbers",
        Edit("daemon.matching:Known._alone", "number != WITH_RECIPIENT", "True"),
        by=f"{LISTS}test_a_report_with_a_lists_id_and_a_strange_recipient_is_about_nobody",
    ),
    breaks(
        "5 a gateway may count the ids of a list on",
        Edit("protocols.ids:list_keys", "first + place & 0xFFFF", "first & 0xFFFF"),
        by=f"{LISTS}test_a_report_finds_its_recipient_by_the_lists_id_or_the_next_ones[cmpp-True]",
    ),
    breaks(
        "8 what reaches a gateway twice is counted",
        Edit("daemon.sim.counts:Reached.add_all", "self._seen.add_all(identities)", "[]"),
        by=f"{DAEMON}sim/test_gateway.py::test_a_part_that_comes_again_after_its_answer_is_the_worst_kind",
    ),
    breaks(
        "8 whether the first had been answered is told apart",
        Edit("daemon.sim.counts:Reached.is_open", "identity in self._open", "False"),
        by=f"{DAEMON}sim/test_gateway.py::test_a_part_that_comes_again_unanswered_is_told_apart",
    ),
    breaks(
        "8 a delivered message of which no gateway saw a part is lost",
        Edit("daemon.demo.fates:Fates.delivered_parts", "self.delivered", "self.doubted"),
        by=f"{DAEMON}demo/test_fates.py::test_only_parts_of_delivered_messages_must_have_reached_a_gateway",
    ),
    breaks(
        "8 a message without a final event stays open",
        Edit("daemon.demo.fates:Fates.read", """if b'"final":true' in record.value:""", "if True:"),
        by=f"{DAEMON}demo/test_fates.py::test_what_is_uncertain_is_open_until_its_final_event",
    ),
)

LEDGER = f"{DAEMON}ledger/"
THE_RECORD = (
    breaks(
        "what waits and was never written is there after a kill",
        Edit("daemon.ledger.young:Young.__init__", "if there(db):", "if False:"),
        by=f"{LEDGER}test_young.py::test_after_a_kill_every_message_has_its_row",
    ),
    breaks(
        "no job is archived while a message of it waits",
        Edit("daemon.ledger.archive:Archiver._last_before", "if lowest is None", "if True"),
        by=f"{LEDGER}test_young.py::test_no_job_is_archived_for_having_young_rows_only",
    ),
    breaks(
        "6.2 what a restored daemon told after its backup is news to it",
        Edit(
            "daemon.backup.doubt:admit",
            """db.execute("delete from counter where name = 'identity'")""",
            "pass",
        ),
        by=f"{ENGINE}test_restored.py::test_what_was_sent_after_the_backup_is_not_sent_again",
    ),
    breaks(
        "4 an id is used up also when its job was archived before a restart",
        Edit(
            "daemon.ledger.ids:lately",
            "state_dir, archived",
            "state_dir, set()",
        ),
        by=f"{LEDGER}test_archive.py::test_ids_of_archived_jobs_stay_known_over_a_restart",
    ),
    breaks(
        "4 an id is used up also when its key moves while memory learns of it",
        Edit("daemon.ledger.sieve:Sieve.fill", "map(hash_job, lately)", "()"),
        by=f"{LEDGER}test_sieve.py::"
        "test_used_ids_are_known_whatever_moves_while_the_sieve_is_filled",
    ),
    breaks(
        "a clock that is ahead drops nothing",
        Edit("daemon.ledger.retention:Retention._time", "self._reached + CATCH_UP * passed", "now"),
        by=f"{LEDGER}test_retention.py::"
        "test_a_clock_a_year_ahead_drops_nothing_that_was_to_be_kept[False]",
    ),
    breaks(
        "six months are kept",
        Edit(
            "daemon.ledger.retention:Retention.run",
            "reached - max(retain, LEAST)",
            "reached - retain",
        ),
        by=f"{LEDGER}test_retention.py::"
        "test_nothing_younger_than_six_months_goes_whatever_is_asked_for",
    ),
)

OPERATORS = (
    breaks(
        "nothing is written by a bind that is held",
        Edit("daemon.claiming:Claiming._claimed", "link.taking and link.bound", "link.bound"),
        by=f"{ENGINE}test_holds.py::"
        "test_what_is_being_claimed_for_a_bind_when_it_is_held_goes_to_another",
    ),
    breaks(
        "a wiretap shows no number",
        Edit("protocols.hide:_Hider._text", "else _masked(text)", "else text"),
        by="tests/protocols/test_hide.py::test_a_parts_header_and_the_accounts_own_number_are_seen",
    ),
    breaks(
        "a wiretap shows no text",
        Edit("protocols.hide:_Hider.text", "_star(self.out, behind, end, wide=wide)", "pass"),
        by="tests/protocols/test_hide.py::test_a_parts_header_and_the_accounts_own_number_are_seen",
    ),
    breaks(
        "a wiretap loses rather than keeps",
        Edit("daemon.wiretap.taps:Tap.put", "> MOST_OCTETS", "> 1e9"),
        by=f"{DAEMON}wiretap/test_taps.py::test_what_is_too_much_is_counted_and_left_out",
    ),
)

MUTATIONS = (
    *NO_JOB_IS_LOST,
    *NOTHING_IS_SENT_TWICE_WITHOUT_NEED,
    *SEVERAL_DAEMONS,
    *LIFE_CYCLE,
    *STOPS,
    *ONE_CARRIERS_TROUBLE_STAYS_ITS_OWN,
    *RATE_AND_WINDOW_ARE_NEVER_EXCEEDED,
    *SEQUENCES,
    *FAILOVER,
    *URGENCY,
    *EVERY_MESSAGE_REACHES_A_FINAL_STATE,
    *VERDICTS,
    *THE_RECORD,
    *OPERATORS,
)

"""The rows about POP3, each with the tests that show it."""

from __future__ import annotations

from tests.rows.row import Row

ROWS = "tests/servers/test_pop_rows.py"
DELETING = "tests/servers/test_pop_deleting.py"
LISTING = "tests/servers/test_pop_listing.py"
SIGN_IN = "tests/servers/test_pop_sign_in.py"
READER = "tests/property/test_pop_reader.py"
DOVECOT = "tests/servers/test_pop_dovecot.py"
KILLS = "tests/crash/test_pop_kill_points.py"
MEMORY = "tests/servers/test_pop_memory.py"
RETRY = "tests/servers/test_retry.py"

POP: dict[int, Row] = {
    73: Row(
        "lines of 2 049 octets and of 10 MB",
        (f"{ROWS}::test_f073_a_run_over_lines_that_are_too_long", f"{READER}::test_f073_lines_of_any_length"),
    ),
    74: Row(
        "dots, bare LF and CR, no end",
        (
            f"{ROWS}::test_f074_a_run_over_messages_that_confuse",
            f"{READER}::test_f074_messages_that_confuse",
            f"{DELETING}::test_f074_a_message_that_is_cut_off_is_not_kept",
            f"{DELETING}::test_f074_a_message_that_never_ends_times_out",
            f"{RETRY}::test_f005_f006_f074_what_came_whole_is_not_fetched_again",
        ),
    ),
    75: Row(
        "UIDL refused, blank, twice, too long, a path",
        (
            f"{LISTING}::test_f075_only_good_names_last",
            f"{LISTING}::test_f075_what_has_no_lasting_name_is_deleted_in_the_session_that_fetched_it",
            f"{LISTING}::test_f075_names_of_one_session_are_not_used_in_the_next",
            f"{DELETING}::test_f075_many_messages_without_names_are_deleted_in_one_session",
        ),
    ),
    76: Row(
        "UIDL and LIST disagree",
        (
            f"{LISTING}::test_f076_a_message_that_one_answer_does_not_know_is_not_lost",
            f"{ROWS}::test_f076_f084_what_moved_between_two_answers_waits",
        ),
    ),
    77: Row(
        "no TOP, CAPA or STLS",
        (
            f"{DELETING}::test_f077_without_top_a_message_is_fetched_and_then_judged",
            f"{DELETING}::test_f077_a_server_that_refuses_top_is_asked_once",
            f"{ROWS}::test_f077_a_top_that_is_cut",
            f"{SIGN_IN}::test_f077_capa_refused_is_no_trouble",
            f"{SIGN_IN}::test_f077_capa_that_is_never_answered_is_asked_no_more",
            f"{SIGN_IN}::test_f010_f012_f013_f077_without_tls_nothing_is_sent",
            f"{SIGN_IN}::test_f077_a_stripped_capability_is_named",
        ),
    ),
    78: Row(
        "RETR refused for one message",
        (
            f"{ROWS}::test_f078_a_run_goes_on_after_a_refused_message",
            f"{DELETING}::test_f078_one_retr_that_is_refused_costs_that_one",
        ),
    ),
    79: Row(
        "connection lost before QUIT",
        (
            f"{DELETING}::test_f079_nothing_is_gone_before_quit",
            f"{DOVECOT}::test_f079_a_line_that_breaks_anywhere",
            f"{KILLS}::test_f079_f110_k12_killed_between_the_first_dele_and_quit",
            f"{RETRY}::test_f004_f030_f079_a_line_that_breaks_once_is_taken_up_again",
            f"{RETRY}::test_f004_f030_f079_a_line_that_breaks_once_at_very_many_moments",
        ),
    ),
    80: Row(
        "QUIT refused or unanswered",
        (
            f"{DELETING}::test_f080_the_next_list_decides_what_an_unconfirmed_quit_did",
            f"{DELETING}::test_f080_what_cannot_be_looked_at_now_is_settled_by_the_next_run",
            f"{DELETING}::test_f080_an_answer_to_quit_that_makes_no_sense_leaves_it_open",
            f"{KILLS}::test_f080_f110_k13_killed_between_quit_and_its_answer",
        ),
    ),
    81: Row(
        "numbers shift between sessions",
        (f"{LISTING}::test_f081_f084_order_and_numbers_may_change_between_sessions",),
    ),
    82: Row(
        "the maildrop is in use",
        (
            f"{ROWS}::test_f082_a_run_that_is_not_let_in_now",
            f"{SIGN_IN}::test_f082_each_refusal_has_its_code_and_is_tried_once",
            f"{DELETING}::test_f082_another_program_takes_the_maildrop_between_two_chunks",
            f"{DELETING}::test_f082_a_lock_of_another_session",
        ),
    ),
    83: Row(
        "dropped after a minute without a word",
        (
            f"{DELETING}::test_f083_chunks_hold_fifty_messages",
            f"{DELETING}::test_f083_chunks_end_after_a_minute",
        ),
        "NOOP: none is sent, because a session that may delete ends after a chunk and is never idle for long",
    ),
    84: Row(
        "another order, a message in between",
        (
            f"{LISTING}::test_f081_f084_order_and_numbers_may_change_between_sessions",
            f"{ROWS}::test_f076_f084_what_moved_between_two_answers_waits",
        ),
    ),
    85: Row(
        "50 000 messages",
        (
            f"{ROWS}::test_f085_fifty_thousand_messages",
            f"{MEMORY}::test_f085_a_session_keeps_only_so_many_headers",
        ),
    ),
}

"""The rows about the network and TLS, each with the tests that show it."""

from __future__ import annotations

from tests.rows.row import Row

LINES = "tests/servers/test_dead_lines.py"
CUTS = "tests/crash/test_cut_points.py"
TLS = "tests/servers/test_tls.py"
RETRY = "tests/servers/test_retry.py"
AGAIN = "tests/core/test_retry.py"
IMAP = "tests/servers/test_sign_in.py"
POP = "tests/servers/test_pop_sign_in.py"
TUNNEL = "tests/servers/test_tunnel.py"
DEFLATED = "tests/servers/test_imap_compress.py"
DEFLATE = "tests/property/test_deflate.py"

NETWORK: dict[int, Row] = {
    1: Row(
        "refused, name not found, tunnel ends",
        (
            f"{LINES}::test_f001_nobody_listens",
            f"{LINES}::test_f001_a_name_that_is_not_found",
            f"{TUNNEL}::test_f001_a_tunnel_that_ends_has_exit_code_15_and_its_last_words_made_safe",
        ),
    ),
    2: Row(
        "connect hangs",
        (f"{LINES}::test_f002_a_port_that_never_answers", f"{LINES}::test_f002_the_time_is_half_a_minute"),
    ),
    3: Row(
        "handshake hangs",
        (
            f"{LINES}::test_f003_an_imap_server_that_falls_silent",
            f"{LINES}::test_f003_a_pop3_server_that_falls_silent",
            f"{LINES}::test_f003_a_handshake_that_never_ends",
            f"{TUNNEL}::test_f003_a_silent_command_is_given_up",
        ),
    ),
    4: Row(
        "RST anywhere",
        (
            f"{LINES}::test_f004_a_line_that_breaks_at_any_moment",
            f"{LINES}::test_f004_a_line_that_breaks_between_two_answers",
            f"{CUTS}::test_f004_a_cut_of_the_line_of_a_deleting_run",
            f"{CUTS}::test_f004_every_cut_of_the_line_of_a_deleting_run",
            f"{TLS}::test_f004_a_line_that_ends_in_the_handshake",
            f"{RETRY}::test_f004_f030_f079_a_line_that_breaks_once_is_taken_up_again",
            f"{RETRY}::test_f004_f030_f079_a_line_that_breaks_once_at_very_many_moments",
            f"{AGAIN}::test_f004_a_deletion_that_breaks_off_is_looked_at_and_gone_on_with",
            f"{AGAIN}::test_f004_what_was_gone_when_the_line_broke_is_told_as_deleted",
            f"{AGAIN}::test_f004_a_prune_goes_on_too",
            f"{AGAIN}::test_f004_a_deletion_whose_line_stays_dead_is_for_the_next_run",
        ),
    ),
    5: Row(
        "FIN inside a literal",
        (
            f"{LINES}::test_f005_f006_the_line_ends_inside_a_message",
            f"{RETRY}::test_f005_f006_f074_what_came_whole_is_not_fetched_again",
            f"{AGAIN}::test_f005_a_message_that_breaks_off_comes_once",
        ),
    ),
    6: Row(
        "silence inside a literal",
        (
            f"{LINES}::test_f005_f006_the_line_ends_inside_a_message",
            f"{RETRY}::test_f005_f006_f074_what_came_whole_is_not_fetched_again",
        ),
    ),
    7: Row(
        "one octet a second",
        (
            f"{LINES}::test_f007_a_line_that_crawls",
            f"{LINES}::test_f007_it_is_five_minutes",
            f"{LINES}::test_f007_a_run_that_crawls",
        ),
    ),
    8: Row("latency", (f"{LINES}::test_f008_latency_is_paid_by_the_batch",)),
    9: Row(
        "a certificate that is not good",
        (
            f"{TLS}::test_f009_a_certificate_that_is_not_good",
            f"{TLS}::test_f009_a_certificate_that_signed_itself",
            f"{TLS}::test_f009_a_name_with_a_nul_and_an_escape",
        ),
    ),
    10: Row(
        "STARTTLS missing",
        (
            f"{IMAP}::test_f010_f011_f012_f013_without_tls_there_is_no_sign_in",
            f"{POP}::test_f010_f012_f013_f077_without_tls_nothing_is_sent",
        ),
    ),
    11: Row(
        "PREAUTH",
        (
            f"{IMAP}::test_f010_f011_f012_f013_without_tls_there_is_no_sign_in",
            f"{TUNNEL}::test_f011_a_tunnel_is_backed_up_without_a_password",
        ),
    ),
    12: Row(
        "data injected before TLS",
        (
            f"{IMAP}::test_f010_f011_f012_f013_without_tls_there_is_no_sign_in",
            f"{POP}::test_f010_f012_f013_f077_without_tls_nothing_is_sent",
        ),
    ),
    13: Row(
        "STARTTLS refused, or clear text after it",
        (
            f"{IMAP}::test_f010_f011_f012_f013_without_tls_there_is_no_sign_in",
            f"{POP}::test_f010_f012_f013_f077_without_tls_nothing_is_sent",
            f"{TLS}::test_f013_clear_text_in_the_place_of_tls",
        ),
    ),
    14: Row("old TLS, weak ciphers", (f"{TLS}::test_f014_nothing_older_than_tls_1_2_and_no_weak_cipher",)),
    15: Row("another certificate than the pinned one", (f"{TLS}::test_f015_another_certificate_than_the_pinned_one",)),
    16: Row("REFERRAL", (f"{LINES}::test_f016_a_referral_is_not_followed",)),
    17: Row(
        "COMPRESS bomb",
        (
            f"{DEFLATED}::test_f017_a_megabyte_that_stands_for_a_gigabyte_passes_in_bounded_memory",
            f"{DEFLATE}::test_f017_octets_that_stand_for_too_much_are_a_bomb",
        ),
    ),
    18: Row(
        "IPv6 broken",
        (
            f"{LINES}::test_f018_the_address_that_works_is_used",
            f"{LINES}::test_f018_what_is_wrong_with_the_server_is_told",
            f"{LINES}::test_f018_the_name_localhost_has_two_addresses",
        ),
    ),
    19: Row("a scanner in the middle", (f"{TLS}::test_f019_a_scanner_in_the_middle",)),
}

"""The rows of the table of faults that are about the network, TLS and the sign-in, each with the tests that show it.

Law of this room: a row keeps its number for ever; what no test shows yet is said in words.
"""

from __future__ import annotations

from dataclasses import dataclass

LINES = "tests/servers/test_dead_lines.py"
TLS = "tests/servers/test_tls.py"
IMAP = "tests/servers/test_sign_in.py"
POP = "tests/servers/test_pop_sign_in.py"
SECRETS = "tests/servers/test_sign_in_secrets.py"
OAUTH = "tests/servers/test_oauth.py"
DOVECOT = "tests/servers/test_oauth_dovecot.py"
TUNNEL = "tests/servers/test_tunnel.py"
DEFLATED = "tests/servers/test_imap_compress.py"
DEFLATE = "tests/property/test_deflate.py"
PASSWORDS = "tests/core/test_credentials.py"
PLACES = "tests/core/test_secret_places.py"


@dataclass(frozen=True)
class Row:
    """One fault.

    Attributes:
        fault: What goes wrong, in a few words.
        tests: Node ids, without parameters.
        not_yet: What of the row no test shows, because nothing does it yet; empty if all is shown.
    """

    fault: str
    tests: tuple[str, ...]
    not_yet: str = ""


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
            f"{LINES}::test_f004_a_line_that_breaks_at_very_many_moments",
            f"{LINES}::test_f004_a_line_that_breaks_between_two_answers",
            f"{TLS}::test_f004_a_line_that_ends_in_the_handshake",
        ),
        "a new attempt within the run",
    ),
    5: Row("FIN inside a literal", (f"{LINES}::test_f005_f006_the_line_ends_inside_a_message",), "as 4"),
    6: Row("silence inside a literal", (f"{LINES}::test_f005_f006_the_line_ends_inside_a_message",), "as 4"),
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

SIGN_IN: dict[int, Row] = {
    20: Row(
        "wrong password",
        (
            f"{DOVECOT}::test_f020_f027_wrong_passwords_of_every_kind",
            f"{POP}::test_f020_a_wrong_password_on_dovecot",
            f"{SECRETS}::test_f020_a_password_is_never_sent_twice",
            "tests/cli/test_login.py::test_f020_a_wrong_password_from_anywhere",
        ),
    ),
    21: Row(
        "the server repeats the password",
        (
            f"{IMAP}::test_f021_a_server_that_repeats_the_password",
            f"{SECRETS}::test_f021_a_server_that_repeats_a_token",
            f"{SECRETS}::test_f021_a_server_that_repeats_a_password_over_pop",
            f"{PLACES}::test_f021_a_slip_anywhere_shows_nothing",
        ),
    ),
    22: Row(
        "no way in that we know",
        (
            f"{SECRETS}::test_f022_a_server_without_a_way_for_tokens",
            f"{SECRETS}::test_f022_a_server_without_a_way_for_passwords",
            f"{DOVECOT}::test_f022_a_server_without_oauth",
        ),
    ),
    23: Row("codes of RFC 5530", (f"{SECRETS}::test_f023_each_code_is_the_right_error",)),
    24: Row(
        "Exchange lets in and gives nothing",
        ("tests/servers/test_imap_listing.py::test_f024_exchange_that_lets_in_and_gives_nothing_is_a_refused_sign_in",),
        "one more try after a pause",
    ),
    25: Row(
        "a token that ends, a grant that is over",
        (
            f"{OAUTH}::test_f025_a_token_is_renewed_before_it_ends",
            f"{OAUTH}::test_f025_a_refused_token_is_renewed_once",
            f"{OAUTH}::test_f025_a_grant_that_is_over",
            f"{OAUTH}::test_f025_a_refresh_token_that_was_withdrawn",
            f"{SECRETS}::test_f025_a_token_that_is_refused_is_renewed_once",
            f"{SECRETS}::test_f025_a_second_refusal_is_the_end",
            f"{DOVECOT}::test_f025_a_token_that_the_server_takes_no_more_is_renewed",
            f"{DOVECOT}::test_f025_a_token_that_ends_in_mid_run_is_renewed_at_the_next_session",
            f"{DOVECOT}::test_f025_a_grant_that_was_withdrawn_ends_the_run",
        ),
        "a new line within the run",
    ),
    26: Row(
        "a password command that fails",
        (
            f"{PASSWORDS}::test_f026_what_is_no_password_is_refused",
            f"{PASSWORDS}::test_f026_a_failing_command_is_named_by_its_status",
            f"{PASSWORDS}::test_f026_a_hanging_command_is_ended",
            f"{PASSWORDS}::test_f026_an_endless_output_is_cut",
            f"{PLACES}::test_f026_a_credential_that_is_no_password",
            f"{OAUTH}::test_f026_a_helper_that_prints_no_token",
        ),
    ),
    27: Row(
        "odd passwords",
        (
            f"{DOVECOT}::test_f020_f027_wrong_passwords_of_every_kind",
            f"{PASSWORDS}::test_f027_a_password_passes_unchanged",
        ),
    ),
    28: Row(
        "BYE or a lost line at sign-in",
        (
            f"{SECRETS}::test_f028_a_line_that_ends_is_no_wrong_password",
            f"{POP}::test_f028_silence_while_signing_in_is_a_dead_line",
        ),
        "waiting, and a new attempt within the run",
    ),
    29: Row(
        "a password on the command line or passed on",
        (
            "tests/cli/test_start.py::test_f029_no_option_takes_a_password",
            "tests/core/test_address.py::test_f029_a_password_in_an_address_is_refused_and_not_repeated",
            f"{PASSWORDS}::test_f029_our_passwords_are_not_passed_on_to_commands",
            f"{DOVECOT}::test_f029_a_helper_of_the_users_gives_the_token",
            f"{TUNNEL}::test_f029_a_command_gets_none_of_our_passwords",
        ),
    ),
}

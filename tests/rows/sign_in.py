"""The rows about the sign-in, each with the tests that show it."""

from __future__ import annotations

from tests.rows.row import Row

IMAP = "tests/servers/test_sign_in.py"
RETRY = "tests/servers/test_retry.py"
POP = "tests/servers/test_pop_sign_in.py"
SECRETS = "tests/servers/test_sign_in_secrets.py"
OAUTH = "tests/servers/test_oauth.py"
DOVECOT = "tests/servers/test_oauth_dovecot.py"
TUNNEL = "tests/servers/test_tunnel.py"
PASSWORDS = "tests/core/test_credentials.py"
PLACES = "tests/core/test_secret_places.py"

SIGN_IN: dict[int, Row] = {
    20: Row(
        "wrong password",
        (
            f"{DOVECOT}::test_f020_f027_wrong_passwords_of_every_kind",
            f"{POP}::test_f020_a_wrong_password_on_dovecot",
            f"{SECRETS}::test_f020_a_password_is_never_sent_twice",
            f"{RETRY}::test_f020_a_refused_sign_in_is_not_tried_again",
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
        (
            "tests/servers/test_imap_listing.py::test_f024_exchange_that_lets_in_and_gives_nothing_is_a_refused_sign_in",
            f"{RETRY}::test_f024_exchange_that_gives_nothing_is_tried_once_more",
        ),
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
            f"{RETRY}::test_f025_a_token_that_ended_is_renewed_for_the_new_line",
        ),
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
            f"{RETRY}::test_f028_a_server_that_is_full_is_waited_for",
            f"{RETRY}::test_f028_a_server_that_stays_full_is_for_later",
            f"{RETRY}::test_f028_a_restore_waits_at_the_sign_in_too",
            "tests/core/test_patience.py::test_f028_before_anything_is_done",
        ),
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

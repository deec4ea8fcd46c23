"""The rows about wrong input, each with the tests that show it."""

from __future__ import annotations

from tests.rows.row import Row

WRONG = "tests/cli/test_wrong_input.py"
BUGS = "tests/cli/test_bugs.py"
DATES = "tests/core/test_dates.py"
ADDRESS = "tests/core/test_address.py"
CONFIG = "tests/core/test_config.py"
REFUSED = "tests/cli/test_deleting_refused.py"
MAILDIR = "tests/contract/test_maildir.py"
START = "tests/cli/test_start.py"
POP = "tests/cli/test_pop.py"

WRONG_INPUT: dict[int, Row] = {
    129: Row(
        "ages, days and sizes that cannot be read",
        (
            f"{WRONG}::test_f129_what_cannot_be_read_is_named_with_what_to_write",
            f"{DATES}::test_f129_what_is_no_age_is_refused_with_a_hint",
            f"{DATES}::test_f129_what_is_no_date_is_refused_with_a_hint",
            f"{DATES}::test_f129_what_is_no_size_is_refused_with_a_hint",
        ),
    ),
    130: Row(
        "deleting without a selection",
        (
            f"{WRONG}::test_f130_a_deletion_that_nobody_has_chosen",
            f"{REFUSED}::test_f130_a_day_to_come_is_no_cut_off",
            f"{REFUSED}::test_f130_a_deletion_that_is_typed_is_refused_as_a_whole",
            f"{REFUSED}::test_f130_without_a_selection_nothing_is_deleted",
        ),
    ),
    131: Row(
        "deleting without a yes",
        (
            f"{WRONG}::test_f131_a_deletion_without_a_yes",
            "tests/cli/test_consent.py::test_f131_the_end_of_the_input_is_no_answer",
            f"{REFUSED}::test_f131_a_yes_in_the_configuration_is_one",
            f"{REFUSED}::test_f131_without_a_terminal_a_yes_is_needed_before_anything_begins",
            "tests/cli/test_deletion_runs.py::test_f131_no_answer_at_all_does_nothing",
        ),
    ),
    132: Row(
        "no UIDPLUS",
        (
            f"{WRONG}::test_f132_a_server_without_uidplus",
            "tests/core/test_expunge.py::test_f132_what_the_server_cannot_do_is_refused_with_a_way_out",
            "tests/servers/test_delete_methods.py::test_f132_without_uidplus_it_is_refused_before_anything_is_fetched",
        ),
    ),
    133: Row(
        "more than --max-delete",
        (
            f"{WRONG}::test_f133_a_plan_above_max_delete",
            "tests/core/test_guards.py::test_f133_the_amount_may_not_pass_what_was_said",
        ),
    ),
    134: Row(
        "a mailbox that is not there",
        (
            f"{WRONG}::test_f134_a_mailbox_that_is_not_there",
            f"{POP}::test_f134_a_mailbox_of_the_configuration_that_pop_does_not_show_is_a_warning",
            "tests/core/test_backup.py::test_f134_a_mailbox_of_the_configuration_that_is_gone_stops_no_other",
            "tests/servers/test_backup_dovecot.py::test_f134_a_mailbox_that_is_not_there_gets_a_guess",
        ),
    ),
    135: Row(
        "what is no address, name, option or command",
        (
            f"{WRONG}::test_f135_no_such_command",
            f"{WRONG}::test_f135_what_cannot_be_an_address_an_option_or_a_name",
            f"{START}::test_f135_wrong_usage_is_one_line_a_hint_and_exit_2",
            f"{ADDRESS}::test_f135_a_host_that_is_no_name_is_refused",
            f"{ADDRESS}::test_f135_a_port_is_a_number_from_1_to_65535",
            f"{ADDRESS}::test_f135_a_web_address_is_refused_with_a_hint",
            f"{ADDRESS}::test_f135_control_characters_are_refused",
            f"{ADDRESS}::test_f135_control_characters_are_refused_in_a_user_given_apart",
            "tests/cli/test_export.py::test_f135_a_place_that_is_taken_is_refused",
        ),
    ),
    136: Row(
        "what POP3 cannot say",
        (
            f"{WRONG}::test_f136_what_pop_cannot_say",
            f"{POP}::test_f136_a_rule_about_flags_that_is_typed_is_refused",
            f"{POP}::test_f136_what_the_protocol_cannot_say_is_refused",
        ),
    ),
    137: Row(
        "clear text to another computer",
        (
            f"{WRONG}::test_f137_clear_text_to_another_computer",
            f"{ADDRESS}::test_f137_clear_text_is_refused_elsewhere",
        ),
    ),
    138: Row(
        "a configuration that is wrong",
        (
            f"{WRONG}::test_f138_a_configuration_that_is_wrong",
            f"{WRONG}::test_f138_what_others_can_read_or_change",
            "tests/cli/test_config_command.py::test_f138_a_secret_that_others_can_read_is_a_secret_no_more",
            f"{START}::test_f138_a_missing_configuration_names_the_one_off_form",
            f"{CONFIG}::test_f138_a_missing_file_says_how_to_do_without",
            f"{CONFIG}::test_f138_all_that_is_wrong_is_said_at_once",
            f"{CONFIG}::test_f138_what_is_not_toml_is_refused_with_its_line",
            f"{CONFIG}::test_f138_what_is_wrong_is_named_with_its_line",
            "tests/core/test_credentials.py::test_f138_a_password_file_open_to_others_is_refused",
        ),
    ),
    139: Row(
        "a place that is no archive of ours",
        (
            f"{WRONG}::test_f139_a_place_that_is_no_archive",
            f"{WRONG}::test_f139_root_leaves_the_archive_of_another_user_alone",
            f"{MAILDIR}::test_f139_a_file_is_no_archive",
            f"{MAILDIR}::test_f139_a_folder_with_other_things_is_refused_and_left_as_it_was",
            f"{MAILDIR}::test_f098_f139_an_archive_belongs_to_one_account",
        ),
    ),
    140: Row(
        "a bug",
        (
            f"{BUGS}::test_f140_a_bug_is_one_line_and_what_is_gone_is_proved",
            f"{BUGS}::test_f140_debug_shows_where_without_a_secret",
            "tests/cli/test_doctor.py::test_f140_a_bug_in_one_check_does_not_hide_the_others",
            f"{START}::test_f140_the_environment_can_ask_for_the_traceback_of_a_bug",
        ),
    ),
}

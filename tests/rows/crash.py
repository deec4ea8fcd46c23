"""The rows about crashes, runs at the same time, clocks, and what mail may hold, each with the tests that show it."""

from __future__ import annotations

from tests.rows.row import Row

SIGNALS = "tests/cli/test_signals.py"
OVERLAP = "tests/cli/test_overlap.py"
STOPPED = "tests/servers/test_stopped.py"
MEANWHILE = "tests/servers/test_meanwhile.py"
CLOCKS = "tests/cli/test_clocks.py"
ODD = "tests/cli/test_odd_mail.py"
MEMORY = "tests/servers/test_memory.py"
BACKUP = "tests/cli/test_backup.py"
CONSENT = "tests/cli/test_consent.py"
STREAMS = "tests/core/test_screen_streams.py"
HEADERS = "tests/core/test_headers.py"
SAFE = "tests/core/test_safe.py"
DATES = "tests/core/test_dates.py"
ZONE = "tests/cli/test_zone.py"

CRASH: dict[int, Row] = {
    110: Row(
        "kill -9 at every kill point",
        (
            "tests/crash/test_delete_kill_points.py::test_f110_a_deletion_that_is_killed_converges",
            "tests/crash/test_delete_kill_points.py::test_f110_marks_that_were_left_behind_come_off",
            "tests/crash/test_delete_kill_points.py::test_f110_exclusive_that_is_killed_gives_the_marks_of_others_back",
            "tests/crash/test_delete_kill_points.py::test_f110_an_undo_that_is_killed_converges",
            "tests/crash/test_delete_points_memory.py::test_f110_a_deletion_killed_at_any_step_converges",
            "tests/crash/test_delete_points_memory.py::test_f110_a_run_that_may_not_delete_comes_between",
            "tests/crash/test_delete_points_memory.py::test_f110_a_resumed_deletion_killed_at_any_step_converges",
            "tests/crash/test_kill_points.py::test_f110_killed_after_any_durable_step_it_converges",
            "tests/crash/test_kill_points_memory.py::test_f110_a_backup_killed_at_any_step_converges",
            "tests/crash/test_mbox_points.py::test_f110_killed_at_every_step_of_an_append_it_is_recovered",
            "tests/crash/test_pop_kill_points.py::test_f079_f110_k12_killed_between_the_first_dele_and_quit",
            "tests/crash/test_pop_kill_points.py::test_f080_f110_k13_killed_between_quit_and_its_answer",
            "tests/crash/test_pop_kill_points.py::test_f110_killed_while_the_second_chunk_is_fetched",
            "tests/crash/test_pop_kill_points.py::test_f110_killed_while_something_becomes_durable",
            "tests/crash/test_reindex_kill_points.py::test_f110_killed_at_any_step_there_is_the_old_catalogue_or_the_new_one_or_none",
            "tests/crash/test_reindex_kill_points.py::test_f110_an_interrupted_deletion_whose_catalogue_is_lost_is_settled",
            "tests/crash/test_reindex_points_memory.py::test_f110_a_deletion_killed_at_any_step_converges_with_a_new_catalogue",
            "tests/crash/test_reindex_points_memory.py::test_f110_a_reindex_killed_at_any_step_changes_nothing",
        ),
    ),
    111: Row(
        "kill -9 at random times",
        (
            "tests/crash/test_delete_random_kills.py::test_f111_a_few_kills_lose_nothing",
            "tests/crash/test_delete_random_kills.py::test_f111_two_hundred_and_fifty_kills_lose_nothing",
            "tests/crash/test_kill_points.py::test_f111_killed_at_random_moments_it_converges",
        ),
    ),
    112: Row(
        "power cut at every kill point",
        ("tests/crash/test_power_cut.py::test_f112_what_was_vouched_for_is_whole_after_a_power_cut",),
    ),
    113: Row(
        "signals, closed streams",
        (
            f"{SIGNALS}::test_f113_a_signal_while_it_deletes",
            f"{SIGNALS}::test_f113_ctrl_c_while_the_program_is_loaded",
            f"{SIGNALS}::test_f113_streams_that_are_closed_from_the_start",
            f"{SIGNALS}::test_f113_the_second_signal_ends_it_at_once",
            "tests/cli/test_background.py::test_f113_whoever_is_stopped_at_once_waits_for_the_task_all_the_same",
            f"{BACKUP}::test_f113_a_closed_stdout_stops_no_backup",
            f"{BACKUP}::test_f113_a_signal_ends_the_run_after_the_batch",
            f"{BACKUP}::test_f113_a_stop_between_two_accounts_is_told",
            f"{CONSENT}::test_f113_a_signal_that_is_switched_off_stays_off",
            f"{CONSENT}::test_f113_ctrl_c_at_the_question_ends_the_program_at_once",
            f"{CONSENT}::test_f113_signals_do_at_the_question_what_they_did_before",
            "tests/cli/test_import.py::test_f113_a_signal_finishes_the_batch",
            "tests/core/test_backup.py::test_f113_the_user_stops_the_run_and_the_batch_is_finished",
            f"{STREAMS}::test_f113_broken_pipe",
            f"{STREAMS}::test_f113_full_disk_under_stdout",
            f"{STREAMS}::test_f113_missing_and_closed_streams",
            "tests/core/test_patience.py::test_f113_a_user_who_wants_to_end_does_not_wait",
        ),
    ),
    114: Row(
        "a server that stops or is killed",
        (
            f"{STOPPED}::test_f114_a_server_that_is_killed",
            f"{STOPPED}::test_f114_a_server_that_stops",
        ),
        "ten minutes: the timeout is made short",
    ),
    115: Row(
        "cron overlap",
        (
            f"{OVERLAP}::test_f115_every_command_that_writes_takes_its_turn",
            f"{OVERLAP}::test_f115_five_runs_that_all_find_no_archive",
            f"{OVERLAP}::test_f115_of_five_runs_of_cron_one_works",
            f"{OVERLAP}::test_f115_with_wait_it_goes_on_when_the_other_has_ended",
            f"{BACKUP}::test_f115_a_second_run_is_silent_with_quiet",
            f"{BACKUP}::test_f115_f122_two_runs_at_once_one_works_and_the_other_says_so",
            "tests/contract/test_maildir.py::test_f115_a_second_run_is_told_who_holds_the_archive",
        ),
    ),
    116: Row(
        "a lock that is left",
        (
            f"{OVERLAP}::test_f116_a_lock_that_a_reboot_has_left_is_none",
            f"{OVERLAP}::test_f116_a_run_that_was_killed_leaves_no_lock",
            "tests/contract/test_mbox.py::test_f116_a_lock_of_a_run_that_was_killed_holds_nobody_up",
        ),
    ),
    117: Row(
        "another client at work",
        (
            f"{MEANWHILE}::test_f117_mailboxes_that_are_renamed_meanwhile",
            "tests/servers/test_delete_dovecot.py::test_f117_another_client_at_work_loses_nothing",
        ),
    ),
    118: Row("mail readers during a backup", (f"{MEANWHILE}::test_f118_mutt_reads_the_archive_during_a_backup",)),
    119: Row(
        "suspended while it fetches",
        (f"{STOPPED}::test_f119_a_run_that_is_suspended_while_it_fetches",),
        "eight hours; a token is renewed whenever a line is made, see 25",
    ),
    120: Row(
        "a wrong clock",
        (
            f"{CLOCKS}::test_f120_a_clock_that_is_set_in_mid_run",
            f"{CLOCKS}::test_f120_a_day_that_was_typed_needs_no_clock",
            f"{CLOCKS}::test_f120_a_wrong_clock_deletes_nothing",
            f"{CLOCKS}::test_f120_a_wrong_clock_stops_no_backup",
            f"{CLOCKS}::test_f120_no_certificate_is_good_at_a_wrong_time",
            "tests/core/test_guards.py::test_f120_a_clock_is_believed_near_the_last_run",
        ),
    ),
    121: Row(
        "odd days and zones",
        (
            f"{CLOCKS}::test_f121_one_cut_off",
            f"{ZONE}::test_f121_an_age_goes_back_over_a_change_of_season",
            f"{ZONE}::test_f121_every_instant_comes_back_from_local_time",
            f"{DATES}::test_f121_a_midnight_that_is_missing_or_double_has_one_instant",
            f"{DATES}::test_f121_the_cut_off_counts_back_from_the_start_of_today",
        ),
    ),
    122: Row(
        "two runs in one process",
        (
            f"{OVERLAP}::test_f122_two_runs_in_one_process",
            f"{BACKUP}::test_f115_f122_two_runs_at_once_one_works_and_the_other_says_so",
            "tests/core/test_laws.py::test_f122_nothing_forks",
            "tests/cli/test_jobs.py::test_f122_nothing_forks_beside_a_thread",
        ),
    ),
    123: Row(
        "locales, no terminal, 20 columns",
        (
            f"{ODD}::test_f123_any_locale_and_width_gives_the_same_archive",
            f"{BACKUP}::test_f123_locale_c_loses_nothing",
            f"{STREAMS}::test_f123_ascii_stream_gets_plainer_signs",
            f"{STREAMS}::test_f123_locale_c",
            "tests/core/test_screen_tables.py::test_f123_at_20_columns_the_rows_stack",
            "tests/core/test_screen_terminal.py::test_f123_a_terminal_of_20_columns",
        ),
    ),
    124: Row(
        "text that steers a terminal",
        (
            f"{ODD}::test_f124_nothing_of_a_message_steers_a_terminal",
            f"{BACKUP}::test_f124_a_traceback_cannot_steer_the_terminal",
            f"{BACKUP}::test_f124_hostile_names_reach_neither_terminal_nor_path",
            f"{CONSENT}::test_f124_what_a_server_says_cannot_steer_the_terminal",
            "tests/cli/test_import.py::test_f124_hostile_names_reach_neither_terminal_nor_path",
            f"{SAFE}::test_f124_any_octets_become_one_harmless_line",
            f"{SAFE}::test_f124_any_text_becomes_one_short_harmless_line",
            f"{SAFE}::test_f124_what_is_shown",
            "tests/core/test_screen_json.py::test_f124_json_carries_hostile_names_exactly_and_harmlessly",
            f"{STREAMS}::test_f124_hostile_text_is_harmless",
            "tests/core/test_screen_tables.py::test_f124_hostile_names_are_harmless",
            "tests/cli/test_search.py::test_f124_nothing_in_a_message_steers_a_terminal",
            "tests/core/test_screen_letters.py::test_f124_a_table_holds_nothing_that_steers_a_terminal",
            "tests/exports/test_names.py::test_f124_any_text_makes_a_name",
        ),
    ),
    125: Row(
        "odd headers",
        (
            f"{ODD}::test_f125_odd_messages_are_archived_exactly",
            f"{HEADERS}::test_f125_a_field_of_100_kb_costs_little",
            f"{HEADERS}::test_f125_a_message_without_octets_is_not_plausible",
            f"{HEADERS}::test_f125_any_octets_are_read_without_an_exception",
            f"{HEADERS}::test_f125_ten_thousand_received_lines_are_passed_over",
            f"{HEADERS}::test_f038_f125_the_gate_holds_what_is_not_plausible",
            "tests/servers/test_backup_dovecot.py::test_f125_nasty_messages_arrive_as_the_server_gives_them",
            "tests/contract/test_finding.py::test_f125_a_message_that_breaks_its_reader_is_indexed_by_what_was_readable",
        ),
    ),
    126: Row(
        "hostile attachments",
        (
            f"{ODD}::test_f126_attachments_are_never_opened_and_name_no_file",
            "tests/core/test_reading.py::test_f126_hostile_mail_costs_little_and_never_raises",
            "tests/core/test_reading.py::test_f126_a_slip_in_one_reader_leaves_the_others",
            "tests/exports/test_browser.py::test_f126_nothing_runs_and_nothing_is_fetched",
            "tests/exports/test_forms.py::test_f126_attachments_are_files_with_names_of_their_own",
            "tests/exports/test_html.py::test_f126_hostile_mail_is_text",
        ),
    ),
    127: Row(
        "a message of 1 GB, a million messages, none",
        (
            f"{MEMORY}::test_f127_a_mailbox_of_a_million_messages_is_planned_in_less_than_100_mb",
            f"{MEMORY}::test_f127_a_message_of_60_mb_passes_in_less_than_100_mb",
            f"{MEMORY}::test_f127_a_message_of_a_gigabyte_passes_in_less_than_100_mb",
            f"{MEMORY}::test_f127_no_message_at_all",
            "tests/contract/test_source.py::test_f127_an_empty_mailbox",
        ),
        "a million messages that are fetched: they are planned",
    ),
    128: Row(
        "every answer mutated",
        (
            "tests/property/test_fuzz_files.py::test_f128_blocks_of_an_mbox",
            "tests/property/test_fuzz_files.py::test_f128_mbox_files_of_an_archive",
            "tests/property/test_fuzz_files.py::test_f128_a_message_of_negative_length_ends_no_search",
            "tests/property/test_fuzz_files.py::test_f128_mail_of_other_programs",
            "tests/property/test_fuzz_files.py::test_f128_manifests",
            "tests/property/test_fuzz_files.py::test_f128_lists_of_dovecot",
            "tests/property/test_fuzz_files.py::test_f128_names_become_folders_inside",
            "tests/property/test_fuzz_files.py::test_f128_markers_of_archives",
            "tests/property/test_fuzz_files.py::test_f128_a_marker_that_is_nested_without_end",
            "tests/property/test_fuzz_files.py::test_f128_tokens_that_were_kept",
            "tests/property/test_fuzz_imap.py::test_f128_bodies_of_messages",
            "tests/property/test_fuzz_imap.py::test_f128_listings",
            "tests/property/test_fuzz_imap.py::test_f128_what_has_changed",
            "tests/property/test_fuzz_imap.py::test_f128_headers_and_probes",
            "tests/property/test_fuzz_imap.py::test_f128_names_of_mailboxes",
            "tests/property/test_fuzz_imap.py::test_f128_answers_to_searches",
            "tests/property/test_fuzz_imap.py::test_f128_opening_a_mailbox_and_its_quota",
            "tests/property/test_fuzz_imap.py::test_f128_answers_to_append",
            "tests/property/test_fuzz_imap.py::test_f128_sign_ins",
            "tests/property/test_fuzz_imap.py::test_f128_a_refusal_that_looks_like_python",
            "tests/property/test_fuzz_memory.py::test_f128_answers_over_imap",
            "tests/property/test_fuzz_memory.py::test_f128_answers_over_pop3",
            "tests/property/test_fuzz_memory.py::test_f128_headers_are_looked_at_up_to_64_kib",
            "tests/property/test_fuzz_memory.py::test_f128_the_text_behind_64_kib_is_not_seen",
            "tests/property/test_fuzz_memory.py::test_f128_files",
            "tests/property/test_fuzz_pop.py::test_f128_maildrops",
            "tests/property/test_fuzz_pop.py::test_f128_sign_ins_over_pop3",
            "tests/property/test_fuzz_sessions.py::test_f128_a_run_over_imap_whose_answers_are_changed",
            "tests/property/test_fuzz_sessions.py::test_f128_very_many_runs_over_imap",
            "tests/property/test_fuzz_sessions.py::test_f128_a_run_over_pop3_whose_answers_are_changed",
            "tests/property/test_fuzz_sessions.py::test_f128_very_many_runs_over_pop3",
            "tests/property/test_fuzz_typed.py::test_f128_configurations",
            "tests/property/test_fuzz_typed.py::test_f128_ages_dates_sizes_and_durations",
            "tests/property/test_fuzz_typed.py::test_f128_addresses",
            "tests/property/test_fuzz_typed.py::test_f128_headers",
            "tests/property/test_fuzz_typed.py::test_f128_descriptions_of_servers",
            "tests/property/test_fuzz_typed.py::test_f128_answers_of_oauth2_providers",
            "tests/property/test_fuzz_typed.py::test_f128_seconds_that_are_no_seconds",
            "tests/property/test_fuzz_typed.py::test_f128_kept_tokens_with_an_end_that_is_no_time",
            "tests/property/test_fuzz_typed.py::test_f128_an_issuer_that_is_no_address",
        ),
    ),
}

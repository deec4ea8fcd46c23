"""The rows about IMAP, each with the tests that show it."""

from __future__ import annotations

from tests.rows.row import Row

READING = "tests/servers/test_imap_faults_reading.py"
DELETING = "tests/servers/test_imap_faults_deleting.py"
MAILBOXES = "tests/servers/test_imap_faults_mailboxes.py"
CAPS = "tests/servers/test_imap_faults_caps.py"
READER = "tests/servers/test_imap_reader.py"
LISTING = "tests/servers/test_imap_listing.py"
FOLLOW = "tests/servers/test_imap_follow.py"
GATE = "tests/servers/test_imap_gate.py"
EXPUNGE = "tests/servers/test_imap_expunge.py"
SERVERS = "tests/servers/test_imap_expunge_servers.py"
SIGN_IN = "tests/servers/test_sign_in.py"
APPEND = "tests/servers/test_imap_append.py"
PROBE = "tests/servers/test_imap_probe.py"
METHODS = "tests/servers/test_delete_methods.py"
DOVECOT = "tests/servers/test_backup_dovecot.py"
NAMES = "tests/servers/test_hostile_names.py"
BACKUP = "tests/core/test_backup.py"
REMOVAL = "tests/core/test_removal.py"
FAULTS = "tests/core/test_removal_faults.py"
DATES = "tests/core/test_dates.py"
HEADERS = "tests/core/test_headers.py"
RETRY = "tests/servers/test_retry_imap.py"
LINES = "tests/servers/test_retry.py"
AGAIN = "tests/core/test_retry.py"
PATIENCE = "tests/core/test_patience.py"

IMAP: dict[int, Row] = {
    30: Row(
        "BYE in mid command",
        (
            f"{READING}::test_f030_bye_in_mid_command_costs_nothing_that_has_come",
            f"{READER}::test_f030_f034_bye_ends_the_session_and_a_throttling_bye_asks_for_patience",
            f"{RETRY}::test_f030_f033_f035_a_pause_and_the_run_goes_on",
            f"{LINES}::test_f004_f030_f079_a_line_that_breaks_once_is_taken_up_again",
            f"{LINES}::test_f004_f030_f079_a_line_that_breaks_once_at_very_many_moments",
            f"{LINES}::test_f030_a_line_that_always_breaks_is_given_up",
            f"{LINES}::test_f030_a_line_that_breaks_again_and_again_and_brings_something_each_time",
            f"{AGAIN}::test_f030_a_line_that_breaks_at_every_renewal_is_given_up",
        ),
    ),
    31: Row(
        "ALERT with an escape",
        (
            f"{READING}::test_f031_an_alert_is_shown_once_and_made_safe",
            f"{READING}::test_f031_an_alert_may_come_with_any_answer",
            f"{LISTING}::test_f031_an_alert_is_kept_for_the_user",
            f"{SIGN_IN}::test_f031_an_alert_before_tls_is_nobodys",
            f"{BACKUP}::test_f031_what_the_server_wants_read_is_told_once",
        ),
    ),
    32: Row(
        "no room in the trash",
        (
            f"{DELETING}::test_f032_without_room_in_the_trash_everything_stays",
            f"{EXPUNGE}::test_f032_f066_f067_f068_what_is_sent_and_what_came_of_it",
            f"{SERVERS}::test_f032_without_room_in_the_trash_everything_stays",
            f"{SERVERS}::test_f032_without_room_in_the_trash_of_dovecot_everything_stays",
            f"{METHODS}::test_f032_a_full_account",
        ),
    ),
    33: Row(
        "throttled",
        (
            f"{READING}::test_f033_f034_f035_a_server_that_asks_for_patience_gets_it",
            f"{READER}::test_f033_a_server_that_asks_for_patience_is_not_asked_again",
            f"{LISTING}::test_f033_a_server_that_asks_for_patience_gets_it",
            f"{RETRY}::test_f030_f033_f035_a_pause_and_the_run_goes_on",
            f"{RETRY}::test_f033_f034_what_is_too_long_is_not_waited_for",
            f"{AGAIN}::test_f033_a_short_wait_is_waited",
            f"{AGAIN}::test_f033_f034_what_makes_no_sense_to_try_again",
            f"{PATIENCE}::test_f033_more_than_the_patience_is_not_waited_for",
        ),
    ),
    34: Row(
        "the session is over",
        (
            f"{RETRY}::test_f033_f034_what_is_too_long_is_not_waited_for",
            f"{AGAIN}::test_f033_f034_what_makes_no_sense_to_try_again",
            f"{READING}::test_f033_f034_f035_a_server_that_asks_for_patience_gets_it",
            f"{READER}::test_f030_f034_bye_ends_the_session_and_a_throttling_bye_asks_for_patience",
        ),
    ),
    35: Row(
        "SERVERBUG; a limit",
        (
            f"{READING}::test_f033_f034_f035_a_server_that_asks_for_patience_gets_it",
            f"{READING}::test_f035_f065_one_message_that_is_refused_costs_itself",
            f"{READING}::test_f035_f065_what_is_refused_once_comes_in_the_same_run",
            f"{READER}::test_f035_f065_a_refused_batch_is_halved_until_the_bad_message_stands_alone",
            f"{READER}::test_f035_a_message_that_is_refused_is_asked_for_once_more_alone",
            f"{RETRY}::test_f030_f033_f035_a_pause_and_the_run_goes_on",
            f"{RETRY}::test_f035_a_limit_that_stays_ends_the_run",
        ),
    ),
    36: Row(
        "OK and no data",
        (
            f"{READING}::test_f036_f037_what_is_no_message_is_not_archived",
            f"{READER}::test_f036_an_ok_without_data_is_a_failure_if_the_message_is_still_there",
            f"{READER}::test_f036_a_server_that_refuses_even_the_question_loses_no_run",
        ),
    ),
    37: Row(
        "NIL, empty, no body",
        (
            f"{READING}::test_f036_f037_what_is_no_message_is_not_archived",
            f"{READER}::test_f037_an_empty_body_is_not_a_message",
        ),
    ),
    38: Row(
        "a placeholder",
        (
            f"{READING}::test_f038_a_placeholder_is_archived_and_held",
            f"{BACKUP}::test_f038_odd_mail_is_archived_and_held",
            f"{HEADERS}::test_f038_f125_the_gate_holds_what_is_not_plausible",
        ),
    ),
    39: Row(
        "items in any order",
        (
            f"{READING}::test_f039_items_in_any_order_case_and_company",
            f"{READER}::test_f039_f040_every_shape_of_an_answer_gives_the_same_message",
        ),
    ),
    40: Row(
        "what nobody asked for",
        (
            f"{READING}::test_f040_noise_before_the_sign_in_is_no_answer",
            f"{READING}::test_f040_noise_between_any_two_lines_is_no_answer",
            f"{READER}::test_f039_f040_every_shape_of_an_answer_gives_the_same_message",
            f"{READER}::test_f040_flags_without_a_uid_never_reach_another_message",
            f"{READER}::test_f040_f041_a_body_that_is_none_that_was_wanted_is_dropped_and_doubted",
            f"{READER}::test_f040_f061_f062_f069_facts_count_only_with_a_uid_and_doubles_are_told",
            f"{LISTING}::test_f040_f047_messages_that_others_remove_meanwhile_are_no_doubt",
            f"{EXPUNGE}::test_f040_f060_noise_between_any_two_lines_changes_nothing",
        ),
    ),
    41: Row(
        "a UID twice, 0, too large, out of order",
        (
            f"{READING}::test_f041_a_message_under_a_uid_that_cannot_be",
            f"{READING}::test_f041_a_wrong_uid_behind_the_octets_leaves_nothing_of_them",
            f"{READING}::test_f041_only_the_mailbox_with_the_odd_answer_is_held",
            f"{READING}::test_f041_any_order_of_uids_will_do",
            f"{READER}::test_f040_f041_a_body_that_is_none_that_was_wanted_is_dropped_and_doubted",
            f"{READER}::test_f041_a_message_without_a_uid_that_can_be_is_not_gone",
            f"{LISTING}::test_f041_a_uid_with_two_faces_is_left_alone",
            f"{FAULTS}::test_f041_two_answers_for_one_uid_keep_that_message",
        ),
    ),
    42: Row(
        "UIDs that move",
        (
            f"{DELETING}::test_f042_uids_that_have_moved_between_two_runs",
            f"{DELETING}::test_f042_uids_that_move_in_mid_run",
            f"{FAULTS}::test_f042_another_message_under_a_uid_stops_the_whole_mailbox",
            f"{FAULTS}::test_f042_the_last_look_raises_the_alarm_too",
            f"{AGAIN}::test_f042_uids_that_mean_others_after_the_break_are_not_deleted",
        ),
    ),
    43: Row(
        "UIDVALIDITY changes",
        (
            f"{DELETING}::test_f043_a_mailbox_numbered_anew_between_two_runs",
            f"{DELETING}::test_f043_a_mailbox_numbered_anew_in_mid_run",
            f"{DOVECOT}::test_f043_a_mailbox_made_anew_gives_no_second_copies",
            f"{BACKUP}::test_f043_a_renumbered_mailbox_gives_no_second_copies",
            f"{BACKUP}::test_f043_a_mailbox_renumbered_between_listing_and_fetch_is_left_for_the_next_run",
            f"{AGAIN}::test_f043_a_mailbox_that_was_numbered_anew_meanwhile_is_left_alone",
            f"{AGAIN}::test_f043_a_mailbox_that_was_numbered_anew_in_a_deletion_is_left_alone",
        ),
    ),
    44: Row(
        "UIDVALIDITY, UIDNEXT missing; HIGHESTMODSEQ goes back",
        (
            f"{DELETING}::test_f044_f045_without_uids_that_last_nothing_goes",
            f"{DELETING}::test_f044_without_uidnext_nothing_is_amiss",
            f"{DELETING}::test_f044_a_mod_sequence_that_goes_back_is_not_followed",
            f"{LISTING}::test_f044_numbers_that_cannot_be_are_unknown",
            f"{LISTING}::test_f044_f045_a_mailbox_without_uidvalidity_can_be_read",
            f"{FOLLOW}::test_f044_numbers_that_do_not_fit_are_not_followed",
        ),
    ),
    45: Row(
        "UIDNOTSTICKY",
        (
            f"{DELETING}::test_f044_f045_without_uids_that_last_nothing_goes",
            f"{LISTING}::test_f044_f045_a_mailbox_without_uidvalidity_can_be_read",
        ),
    ),
    46: Row(
        "READ-ONLY; PERMANENTFLAGS ()",
        (
            f"{DELETING}::test_f046_a_mailbox_in_which_nothing_can_be_deleted",
            f"{GATE}::test_f046_what_select_says_decides_whether_anything_may_be_deleted",
            f"{GATE}::test_f046_without_the_rights_to_mark_and_to_expunge_nothing_is_deleted",
        ),
    ),
    47: Row(
        "messages vanish",
        (
            f"{MAILBOXES}::test_f047_messages_that_another_hand_removes_are_no_failure",
            f"{READER}::test_f047_a_message_that_another_hand_removed_is_gone_and_no_failure",
            f"{LISTING}::test_f047_what_is_told_to_be_gone_after_the_search_is_no_doubt",
            f"{LISTING}::test_f040_f047_messages_that_others_remove_meanwhile_are_no_doubt",
            f"{SERVERS}::test_f047_what_another_hand_removes_meanwhile_is_gone",
            f"{BACKUP}::test_f047_a_message_that_went_meanwhile_is_no_failure",
        ),
    ),
    48: Row(
        "a mailbox vanishes",
        (
            f"{MAILBOXES}::test_f048_a_mailbox_that_goes_in_mid_run_is_told",
            f"{BACKUP}::test_f048_one_mailbox_that_does_not_open_stops_no_other",
        ),
    ),
    49: Row(
        "no mailboxes",
        (
            f"{MAILBOXES}::test_f049_no_mailboxes_where_there_were_some",
            f"{BACKUP}::test_f049_a_server_that_shows_no_mailboxes_is_not_believed",
        ),
    ),
    50: Row(
        "a mailbox is suddenly empty",
        (
            f"{MAILBOXES}::test_f050_a_mailbox_that_is_suddenly_empty",
            f"{BACKUP}::test_f050_a_mailbox_that_is_suddenly_empty_is_noted",
        ),
    ),
    51: Row(
        "Noselect, NonExistent",
        (
            f"{MAILBOXES}::test_f051_names_that_hold_no_mail_are_passed_over",
            f"{LISTING}::test_f051_f052_a_line_of_the_list_is_read",
        ),
    ),
    52: Row(
        "names",
        (
            f"{MAILBOXES}::test_f052_f053_a_line_of_the_list_that_cannot_be_read_costs_itself",
            f"{LISTING}::test_f051_f052_a_line_of_the_list_is_read",
            f"{LISTING}::test_f052_a_line_that_cannot_be_read_costs_that_line",
            f"{LISTING}::test_f052_names_that_decode_alike_are_two_mailboxes_in_any_order",
            f"{LISTING}::test_f052_a_name_that_is_taken_costs_no_mailbox_in_silence",
            f"{LISTING}::test_f052_a_name_that_no_command_can_carry_is_skipped_and_told",
            f"{NAMES}::test_f052_each_mailbox_gets_its_own_folder_inside_the_archive",
            f"{NAMES}::test_f052_the_next_run_finds_every_mailbox_again",
        ),
    ),
    53: Row(
        "100,000 mailboxes; a name of 1 MB",
        (
            f"{MAILBOXES}::test_f052_f053_a_line_of_the_list_that_cannot_be_read_costs_itself",
            f"{MAILBOXES}::test_f053_too_many_mailboxes_and_a_name_of_a_megabyte",
            f"{LISTING}::test_f053_a_giant_name_stops_the_account_and_is_not_read_as_answers",
            f"{LISTING}::test_f053_too_many_mailboxes_and_too_long_names_have_caps",
        ),
        "a name of 1,001 octets to 64 KiB costs that mailbox alone (3)",
    ),
    54: Row(
        "a literal of 3 GB, -1 or 0",
        (
            f"{CAPS}::test_f054_f055_a_literal_that_lies_is_no_message",
            f"{CAPS}::test_f054_a_message_over_the_cap_is_read_past_and_the_others_come",
            f"{CAPS}::test_f054_f056_f057_memory_stays_flat",
            f"{READER}::test_f054_f056_f058_f059_what_makes_no_sense_is_a_protocol_error",
            f"{READER}::test_f054_f055_the_error_names_the_message",
            f"{READER}::test_f054_a_message_over_the_cap_is_told_and_the_others_come",
            f"{READER}::test_f054_a_header_literal_without_end_is_refused_before_it_is_read",
            f"{RETRY}::test_f054_f055_the_others_come_on_a_new_line",
            f"{AGAIN}::test_f054_a_message_that_breaks_the_protocol_is_left_out",
        ),
        "up to 4 GiB the message is read past on the same line (3)",
    ),
    55: Row(
        "a literal that is shorter or longer",
        (
            f"{CAPS}::test_f054_f055_a_literal_that_lies_is_no_message",
            f"{CAPS}::test_f055_a_literal_that_swallows_the_next_message_is_never_deletable",
            f"{READER}::test_f054_f055_the_error_names_the_message",
            f"{RETRY}::test_f054_f055_the_others_come_on_a_new_line",
        ),
    ),
    56: Row(
        "a line without end",
        (
            f"{CAPS}::test_f056_a_line_without_end",
            f"{CAPS}::test_f054_f056_f057_memory_stays_flat",
            f"{READER}::test_f054_f056_f058_f059_what_makes_no_sense_is_a_protocol_error",
            f"{LISTING}::test_f056_f057_answers_without_end_have_an_end",
        ),
    ),
    57: Row(
        "an answer without end",
        (
            f"{CAPS}::test_f057_an_answer_without_end",
            f"{CAPS}::test_f054_f056_f057_memory_stays_flat",
            f"{READER}::test_f057_bodies_that_come_again_and_again_have_an_end",
            f"{LISTING}::test_f056_f057_answers_without_end_have_an_end",
        ),
    ),
    58: Row(
        "deep nesting",
        (
            f"{CAPS}::test_f058_lists_in_lists_in_lists",
            f"{READER}::test_f054_f056_f058_f059_what_makes_no_sense_is_a_protocol_error",
        ),
    ),
    59: Row(
        "tags",
        (
            f"{READING}::test_f059_a_tag_out_of_place_ends_the_run",
            f"{READING}::test_f059_ok_without_a_word_is_one",
            f"{READER}::test_f054_f056_f058_f059_what_makes_no_sense_is_a_protocol_error",
        ),
    ),
    60: Row(
        "COPYUID, APPENDUID",
        (
            f"{DELETING}::test_f060_uids_of_copies_are_no_more_than_a_hint",
            f"{EXPUNGE}::test_f040_f060_noise_between_any_two_lines_changes_nothing",
            f"{APPEND}::test_f060_the_uid_is_told_only_where_it_is_one",
        ),
    ),
    61: Row(
        "sizes",
        (
            f"{READING}::test_f061_a_size_that_lies_needs_a_second_fetch_before_a_deletion",
            f"{READING}::test_f061_f064_octets_that_change_are_held",
            f"{READER}::test_f040_f061_f062_f069_facts_count_only_with_a_uid_and_doubles_are_told",
            f"{REMOVAL}::test_f061_a_lying_size_is_fetched_a_second_time",
        ),
    ),
    62: Row(
        "dates",
        (
            f"{READING}::test_f062_a_date_that_is_none_is_not_old",
            f"{READER}::test_f040_f061_f062_f069_facts_count_only_with_a_uid_and_doubles_are_told",
            f"{BACKUP}::test_f062_a_message_without_a_date_is_archived",
            f"{DATES}::test_f062_what_is_no_internal_date_is_unknown",
        ),
    ),
    63: Row(
        "BODY[] and BODY[HEADER] differ",
        (f"{READING}::test_f063_a_header_that_is_not_told_as_it_is_in_the_body",),
    ),
    64: Row(
        "octets that change",
        (
            f"{READING}::test_f061_f064_octets_that_change_are_held",
            f"{REMOVAL}::test_f064_octets_that_change_from_fetch_to_fetch_are_held",
        ),
    ),
    65: Row(
        "EXPUNGEISSUED, some could not be fetched",
        (
            f"{READING}::test_f035_f065_one_message_that_is_refused_costs_itself",
            f"{READING}::test_f035_f065_what_is_refused_once_comes_in_the_same_run",
            f"{READER}::test_f035_f065_a_refused_batch_is_halved_until_the_bad_message_stands_alone",
            f"{READER}::test_f065_a_message_that_comes_early_in_the_retry_comes_once",
            f"{READER}::test_f065_a_refusal_keeps_the_data_that_came_before_it",
        ),
    ),
    66: Row(
        "STORE without effect",
        (
            f"{DELETING}::test_f066_f067_ok_and_nothing_done",
            f"{EXPUNGE}::test_f032_f066_f067_f068_what_is_sent_and_what_came_of_it",
        ),
    ),
    67: Row(
        "UID EXPUNGE without effect, refused, or of others",
        (
            f"{DELETING}::test_f066_f067_ok_and_nothing_done",
            f"{DELETING}::test_f067_a_refused_uid_expunge_is_not_replaced_by_a_bare_one",
            f"{DELETING}::test_f067_a_server_that_removes_what_others_have_marked",
            f"{EXPUNGE}::test_f032_f066_f067_f068_what_is_sent_and_what_came_of_it",
        ),
    ),
    68: Row(
        "marks of others",
        (
            f"{DELETING}::test_f068_marks_of_others_stay_what_they_are",
            f"{EXPUNGE}::test_f032_f066_f067_f068_what_is_sent_and_what_came_of_it",
            f"{SERVERS}::test_f068_exactly_the_ordered_messages_leave",
            f"{METHODS}::test_f068_a_strangers_mark_is_not_ours",
            f"{METHODS}::test_f068_exclusive_lifts_the_marks_of_others_and_gives_them_back",
        ),
    ),
    69: Row(
        "keywords, 200 flags",
        (
            f"{MAILBOXES}::test_f069_every_flag_is_kept",
            f"{READER}::test_f040_f061_f062_f069_facts_count_only_with_a_uid_and_doubles_are_told",
        ),
    ),
    70: Row(
        "SEARCH",
        (
            f"{MAILBOXES}::test_f070_a_search_that_fails_or_lies_is_not_needed",
            f"{MAILBOXES}::test_f070_with_very_many_hits",
            f"{LISTING}::test_f070_a_large_mailbox_whose_places_cannot_be_searched_is_narrowed_all_the_same",
            f"{LISTING}::test_f070_a_search_that_does_not_add_up_is_not_used",
            f"{LISTING}::test_f070_without_esearch_every_line_of_the_answer_counts",
            f"{LISTING}::test_f070_where_the_search_finds_what_is_not_there_everything_is_listed",
            f"{LISTING}::test_f070_a_large_mailbox_is_listed_in_windows_of_uids",
            f"{LISTING}::test_f070_a_large_mailbox_on_a_server_that_cannot_search",
            f"{PROBE}::test_f070_marks_on_200_000_messages_are_told_in_ranges",
        ),
        "with marks on more than about 100,000 messages of a server without ESEARCH, nothing is deleted (16)",
    ),
    71: Row(
        "namespaces",
        (
            f"{MAILBOXES}::test_f071_only_ones_own_mailboxes_unless_others_are_named",
            f"{LISTING}::test_f071_the_longest_namespace_decides_whose_a_mailbox_is",
        ),
    ),
    72: Row(
        "two hosts of one account",
        (f"{MAILBOXES}::test_f072_the_host_belongs_to_the_account",),
        "two hosts behind one name cannot be told apart",
    ),
}

"""The rows about files and the disk, each with the tests that show it."""

from __future__ import annotations

from tests.rows.row import Row

FULL = "tests/crash/test_full_disk.py"
FAILING = "tests/crash/test_failing_disk.py"
DISKS = "tests/crash/test_filesystems.py"
FAULTS = "tests/cli/test_archive_faults.py"
SPACE = "tests/core/test_space.py"
LOST = "tests/core/test_lost_batch.py"
BACKUP = "tests/core/test_backup.py"
REMOVAL = "tests/core/test_removal_faults.py"
NAMES = "tests/core/test_names.py"
MAILDIR = "tests/contract/test_maildir.py"
ALSO = "tests/contract/test_maildir_also.py"
LAYOUTS = "tests/contract/test_maildir_layouts.py"
MBOX = "tests/contract/test_mbox.py"
BATCHES = "tests/contract/test_batches.py"
CATALOGUE = "tests/contract/test_catalogue_file.py"
VERIFY = "tests/cli/test_verify.py"
REINDEX = "tests/cli/test_reindex.py"
WHOLE = f"{FAILING}::test_f086_f088_f089_f090_one_call_of_the_whole_program_fails"
EACH = f"{FAILING}::test_f086_f088_f089_one_call_fails"
ANY = f"{MAILDIR}::test_f086_f088_f089_f092_a_disk_that_fails_anywhere_is_a_disk_error_and_the_next_run_is_whole"

DISK: dict[int, Row] = {
    86: Row(
        "no space left",
        (
            f"{FULL}::test_f086_a_disk_of_any_size_that_is_too_small",
            f"{FULL}::test_f086_an_ext4_that_is_full",
            WHOLE,
            EACH,
            ANY,
            f"{MBOX}::test_f086_f089_a_disk_that_fails_anywhere_is_a_disk_error_and_the_next_run_is_whole",
            f"{MBOX}::test_f086_f090_a_write_that_fails_in_its_middle_leaves_the_file_as_it_was",
            f"{ALSO}::test_f086_a_disk_that_fails_is_a_disk_error_and_the_batch_is_void",
            f"{LAYOUTS}::test_f086_a_disk_that_takes_no_file_gets_no_archive",
            f"{LAYOUTS}::test_f086_f089_a_disk_that_fails_once_decides_nothing_for_ever",
            "tests/contract/test_maildir_keywords.py::test_f086_a_table_that_cannot_be_written_costs_the_batch",
            "tests/contract/test_maildir_uidlist.py::test_f086_a_full_disk_leaves_the_old_list",
            "tests/servers/test_pop_deleting.py::test_f086_a_full_disk_never_ends_in_quit_with_something_marked",
            f"{SPACE}::test_f086_a_full_disk_is_told_with_what_is_free_and_what_is_safe",
            f"{SPACE}::test_f086_numbers_are_parted",
            f"{SPACE}::test_f086_other_disk_errors_keep_their_words",
            f"{LOST}::test_f086_f089_any_other_error_ends_the_run_at_once",
            f"{BACKUP}::test_f086_a_disk_that_fails_vouches_for_nothing",
            f"{BACKUP}::test_f086_a_disk_that_fails_at_the_very_end_is_told",
            f"{REMOVAL}::test_f086_the_disk_fails_while_bodies_arrive",
            f"{REMOVAL}::test_f086_the_disk_fails_before_the_intent_is_durable",
        ),
    ),
    87: Row(
        "no inodes left",
        (
            f"{FULL}::test_f087_a_disk_without_inodes",
            f"{SPACE}::test_f087_f088_a_disk_with_room_that_takes_nothing",
        ),
    ),
    88: Row(
        "a quota is reached",
        (EACH, WHOLE, ANY, f"{SPACE}::test_f087_f088_a_disk_with_room_that_takes_nothing"),
    ),
    89: Row(
        "EIO from a sync",
        (
            f"{FAILING}::test_f089_f091_what_is_lost_is_fetched_again_to_a_new_file",
            f"{FAILING}::test_f089_f091_the_second_error_ends_the_run",
            f"{LOST}::test_f089_what_the_disk_lost_is_fetched_again_once",
            f"{LOST}::test_f089_it_is_lost_while_the_next_ones_come",
            f"{LOST}::test_f089_the_second_time_ends_the_run",
            f"{LOST}::test_f089_who_stops_the_run_is_not_kept",
            f"{LOST}::test_f086_f089_any_other_error_ends_the_run_at_once",
            EACH,
            WHOLE,
            ANY,
            f"{MBOX}::test_f086_f089_a_disk_that_fails_anywhere_is_a_disk_error_and_the_next_run_is_whole",
            f"{MAILDIR}::test_f089_a_manifest_whose_sync_failed_is_lost_and_never_synced_again",
            f"{BATCHES}::test_f089_a_sync_that_fails_makes_the_batch_void",
            f"{BATCHES}::test_f089_an_error_of_the_one_call_is_told",
            f"{LAYOUTS}::test_f086_f089_a_disk_that_fails_once_decides_nothing_for_ever",
        ),
        "a new name for what cannot have one: with a folder, an mbox file, the manifest or the catalogue the run ends",
    ),
    90: Row(
        "short write, EINTR",
        (
            f"{FAILING}::test_f090_writes_that_take_only_a_part",
            f"{MBOX}::test_f086_f090_a_write_that_fails_in_its_middle_leaves_the_file_as_it_was",
            WHOLE,
        ),
    ),
    91: Row(
        "close() fails",
        (
            f"{FAILING}::test_f089_f091_what_is_lost_is_fetched_again_to_a_new_file",
            f"{FAILING}::test_f089_f091_the_second_error_ends_the_run",
        ),
    ),
    92: Row("the disk turns read-only", (f"{FULL}::test_f092_a_disk_that_turns_read_only_in_the_middle", ANY)),
    93: Row(
        "no permission, another owner",
        (f"{DISKS}::test_f093_an_archive_of_another_user", f"{DISKS}::test_f093_a_folder_that_may_not_be_used"),
    ),
    94: Row(
        "links in the archive",
        (
            f"{FAULTS}::test_f094_a_folder_that_has_become_a_link",
            f"{FAULTS}::test_f094_the_archive_itself_may_be_a_link",
            f"{FAULTS}::test_f094_a_folder_that_becomes_a_link_during_the_run",
            f"{MAILDIR}::test_f094_a_link_inside_the_archive_is_not_followed",
            f"{MAILDIR}::test_f094_the_archive_folder_itself_may_be_a_link",
            f"{MAILDIR}::test_f094_links_among_our_own_files_lead_nowhere",
            f"{MAILDIR}::test_f094_a_name_that_somebody_has_planted_in_tmp_is_not_written_through",
            "tests/contract/test_manifest.py::test_f094_links_are_not_followed",
            f"{CATALOGUE}::test_f094_a_link_in_place_of_the_catalogue_is_refused",
            f"{VERIFY}::test_f094_a_link_in_place_of_a_message_is_not_read",
        ),
    ),
    95: Row(
        "writable by others",
        (
            f"{FAULTS}::test_f095_an_archive_where_others_may_write",
            f"{MAILDIR}::test_f095_a_place_where_others_may_write_is_doubted",
        ),
    ),
    96: Row(
        "umask 000, 077",
        (
            f"{FAULTS}::test_f096_modes_are_ours_whatever_the_mask",
            f"{MAILDIR}::test_f096_folders_and_files_are_closed_to_others_whatever_the_umask",
            f"{MAILDIR}::test_f096_folders_above_a_new_archive_are_closed_too",
        ),
    ),
    97: Row(
        "the disk is not mounted",
        (
            f"{DISKS}::test_f097_a_disk_that_is_not_mounted",
            f"{MAILDIR}::test_f097_a_disk_that_is_not_mounted_is_never_a_new_start",
            f"{MAILDIR}::test_f097_a_link_to_a_disk_that_is_not_there",
        ),
    ),
    98: Row(
        "two archives swapped",
        (
            f"{FAULTS}::test_f098_two_archives_that_were_swapped",
            f"{FAULTS}::test_f098_f105_a_catalogue_of_another_archive",
            f"{MAILDIR}::test_f098_f139_an_archive_belongs_to_one_account",
        ),
    ),
    99: Row("tmpfs, ramfs", (f"{DISKS}::test_f099_an_archive_in_memory",)),
    100: Row(
        "no links, no colon, case folded",
        (
            f"{DISKS}::test_f100_a_disk_without_links_or_colons",
            f"{BATCHES}::test_f100_where_there_are_neither_links_nor_such_a_rename",
            f"{BATCHES}::test_f100_where_no_rename_refuses_to_replace_a_link_and_a_removal_do",
            f"{ALSO}::test_f100_where_there_are_no_links_it_is_a_copy",
            f"{LAYOUTS}::test_f100_a_disk_that_refuses_a_colon_gets_a_semicolon",
            f"{NAMES}::test_f100_names_that_a_filesystem_would_fold_are_kept_apart",
        ),
        "vfat where the kernel has none: that case is skipped there, and exFAT by FUSE is not",
    ),
    101: Row(
        "NFS",
        (
            f"{FAILING}::test_f101_a_disk_that_cannot_sync_a_folder",
            f"{FAILING}::test_f101_a_file_of_a_network_disk_that_is_stale",
            f"{CATALOGUE}::test_f101_a_commit_is_durable",
            "tests/core/test_prune.py::test_f101_a_doubt_that_comes_while_the_run_writes_holds_too",
        ),
        "a real NFS. A stale file is not opened again: the run ends with 14 and the next one goes on. Without locks an"
        " archive is not opened at all (13), because two runs could write to it",
    ),
    102: Row(
        "a file changed after it was verified",
        (
            f"{FAULTS}::test_f102_a_file_that_changed_after_it_was_verified",
            f"{MAILDIR}::test_f102_a_damaged_copy_is_set_aside_and_the_fresh_octets_take_its_place",
            f"{REMOVAL}::test_f102_a_damaged_copy_ends_every_deletion_of_the_run",
            f"{VERIFY}::test_f102_a_changed_message_is_found_and_named",
        ),
    ),
    103: Row(
        "flags renamed, files removed",
        (
            f"{FAULTS}::test_f103_flags_that_a_reader_has_set_and_files_that_the_user_removed",
            f"{FAULTS}::test_f103_a_file_that_was_removed_keeps_its_message_from_being_pruned",
            f"{MAILDIR}::test_f103_a_flag_that_a_mail_program_set_does_not_hide_the_file",
            f"{MAILDIR}::test_f103_a_file_renamed_during_the_run_is_found_again",
            f"{BACKUP}::test_f103_a_file_that_the_user_removed_is_fetched_again",
            f"{REINDEX}::test_f103_f104_files_that_a_reader_renamed_or_moved_are_followed",
        ),
    ),
    104: Row(
        "files moved to another folder",
        (
            f"{FAULTS}::test_f104_a_file_that_a_reader_has_moved",
            f"{VERIFY}::test_f104_a_message_that_a_mail_program_moved_is_found",
            f"{REINDEX}::test_f103_f104_files_that_a_reader_renamed_or_moved_are_followed",
        ),
    ),
    105: Row(
        "the catalogue is lost, damaged, foreign or old",
        (
            f"{REINDEX}::test_f105_a_catalogue_that_is_not_the_right_one_makes_no_duplicates",
            f"{REINDEX}::test_f105_the_loss_is_told_with_what_to_type",
            f"{REINDEX}::test_f105_it_can_be_deleted_from_once_it_was_read_back",
            f"{CATALOGUE}::test_f105_an_unusable_catalogue_is_set_aside_and_nothing_of_it_is_lost",
            f"{CATALOGUE}::test_f105_a_later_catalogue_is_left_alone",
            f"{FAULTS}::test_f098_f105_a_catalogue_of_another_archive",
        ),
        "exit 3 of a run that deletes: all is fetched and proved anew in it, so it ends with 0 and a warning",
    ),
    106: Row(
        "a later version of the format",
        (
            f"{FAULTS}::test_f106_an_archive_of_a_later_version",
            f"{MAILDIR}::test_f106_a_later_version_is_refused_and_nothing_is_touched",
        ),
    ),
    107: Row(
        "64 descriptors, 256 MiB",
        (
            f"{DISKS}::test_f107_sixty_four_descriptors_and_256_mib",
            f"{DISKS}::test_f107_with_less_the_limit_is_named",
            "tests/cli/test_background.py::test_f107_where_there_is_no_room_for_a_thread_the_task_is_done_here",
            "tests/cli/test_start.py::test_f107_a_process_without_memory_says_so",
            f"{MAILDIR}::test_f107_few_descriptors_are_enough_for_deep_and_for_many_mailboxes",
        ),
    ),
    108: Row(
        "paths that are too long",
        (
            f"{FAULTS}::test_f108_a_mailbox_with_a_long_and_deep_name",
            f"{NAMES}::test_f108_a_deep_mailbox_is_shortened",
            f"{NAMES}::test_f108_a_long_part_is_cut_and_its_name_recorded",
            f"{LAYOUTS}::test_f108_a_name_that_is_too_long_is_recorded",
        ),
    ),
    109: Row(
        "nearly full at the start",
        (
            f"{FULL}::test_f109_a_disk_that_is_nearly_full",
            f"{SPACE}::test_f109_a_plan_that_is_larger_than_what_is_free_is_told_and_runs",
            f"{SPACE}::test_f109_a_disk_that_is_nearly_full_ends_the_run_before_anything_is_fetched",
            f"{SPACE}::test_f109_a_dry_run_says_so_too",
            f"{SPACE}::test_f109_who_fetches_nothing_needs_no_room",
            f"{SPACE}::test_f109_no_batch_is_begun_when_little_is_left",
        ),
    ),
}

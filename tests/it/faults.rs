//! The fault catalogue: what can go wrong, and the tests that show what happens then.
//!
//! A row without a test, or a test that is no longer there, is a failure.

use std::fs;
use std::path::Path;

struct Row {
    fault: u8,
    what: &'static str,
    /// `file::test`; the file is where its name says, below `src` or `tests/it`.
    shown_by: &'static [&'static str],
}

const fn row(fault: u8, what: &'static str, shown_by: &'static [&'static str]) -> Row {
    Row {
        fault,
        what,
        shown_by,
    }
}

#[rustfmt::skip]
const MATRIX: &[Row] = &[
    row(1, "the engine stops under way", &["pty/console.rs::an_engine_that_refuses_is_told_grows_old_and_comes_back", "engine.rs::a_restarted_engine_is_seen_again_over_a_new_connection", "steps.rs::a_restart_whose_answer_is_lost_is_looked_for_and_not_sent_again", "second_engine.rs::an_engine_that_is_killed_in_a_restart_is_waited_for_and_nothing_is_done_twice"]),
    row(2, "the engine restarts", &["engine.rs::a_restarted_engine_is_seen_again_over_a_new_connection", "engine.rs::the_log_of_a_restarted_container_goes_on_where_it_stopped", "second_engine.rs::an_engine_that_is_killed_in_a_restart_is_waited_for_and_nothing_is_done_twice"]),
    row(3, "the socket is closed to us or missing", &["link/docker/error.rs::a_closed_socket_says_mode_owner_and_who_we_are", "engine.rs::no_socket_and_what_is_no_socket_are_told_apart"]),
    row(4, "the API is too old or too new", &["engine.rs::every_api_version_is_spoken_with_or_refused_with_a_reason", "engine.rs::an_engine_that_says_no_version_anywhere_is_asked_without_one", "engine.rs::too_new_is_learned_from_and_too_old_is_a_fault_that_says_so"]),
    row(5, "a container vanishes", &["engine.rs::log_lines_come_whole_and_cleaned_and_a_gone_container_ends_quietly", "engine.rs::only_what_changed_is_inspected_again", "pty/console.rs::a_replica_that_dies_is_on_screen_within_a_second_and_one_key_away", "steps.rs::a_container_that_somebody_made_anew_is_not_touched", "driver/words.rs::facts_that_changed_since_the_plan_stop_the_run_before_it_acts"]),
    row(6, "a health check is stuck or missing", &["probe/containers.rs::without_a_health_check_running_is_told_apart_from_healthy", "link/docker/container.rs::the_lists_status_text_tells_the_health", "driver/words.rs::a_step_without_an_answer_is_given_up_at_its_deadline_and_its_check_is_asked", "deeds.rs::a_deploy_of_a_sick_image_is_put_back_and_loses_no_request"]),
    row(7, "events are lost", &["engine.rs::with_a_third_of_the_events_lost_the_reading_equals_the_truth"]),
    row(8, "the engine accepts and never answers", &["engine.rs::an_engine_that_accepts_and_never_answers_is_silent_after_the_header_deadline", "pty/console.rs::while_the_engine_is_silent_keys_are_answered_and_nothing_of_it_is_green"]),
    row(9, "a replica flaps", &["probe/containers.rs::many_restarts_are_poor", "step/healthy.rs::one_that_flaps_begins_anew", "step/healthy.rs::good_looks_in_no_time_do_not_count"]),
    row(10, "an image moved, a container was killed", &["probe/containers.rs::a_tag_that_moved_is_drift_and_what_is_not_known_says_why", "engine.rs::drift_health_and_death_are_in_the_reading"]),
    row(11, "the link is cut in a run", &["runs.rs::a_run_outlives_the_terminal_it_was_begun_in_and_keeps_its_service_to_itself", "driver/process.rs::a_run_goes_on_when_its_terminal_is_closed_and_all_that_sat_at_it_is_killed"]),
    row(12, "the driver is killed between any two steps", &["driver/words.rs::a_step_in_doubt_is_answered_by_a_person_who_looked", "runbooks.rs::a_command_that_was_given_up_waits_for_the_word_of_a_person", "driver/crash.rs::a_driver_killed_at_any_record_leaves_a_run_that_is_done_once", "driver/crash.rs::an_undo_killed_at_any_record_is_finished_once_resumed", "driver/process.rs::a_driver_killed_after_each_step_is_replaced_and_the_run_is_done", "runs.rs::a_driver_that_is_killed_three_times_is_resumed_and_every_replica_is_restarted_once"]),
    row(13, "the terminal stops reading", &["pty/life.rs::a_terminal_that_reads_nothing_stops_nobody", "shell/terminal/screen.rs::a_terminal_that_stalls_gets_the_newest_frame_and_none_in_between", "pty/life.rs::a_terminal_that_nobody_reads_for_a_minute_is_left"]),
    row(14, "a panic", &["pty/life.rs::a_panic_of_the_screen_restores_reports_and_ends", "pty/life.rs::a_panic_on_a_key_restores_reports_and_ends", "pty/life.rs::a_panic_of_a_worker_leaves_the_screen_alone", "watch/mod.rs::a_panic_is_a_fault_and_the_probe_goes_on"]),
    row(15, "signals", &["pty/life.rs::a_signal_that_ends_gives_the_terminal_back", "pty/life.rs::a_second_signal_gives_the_terminal_back_too", "pty/life.rs::a_loop_that_sticks_is_ended_by_the_second_signal", "pty/life.rs::ctrl_z_pauses_and_fg_draws_anew", "pty/life.rs::a_continue_draws_anew"]),
    row(16, "the host was started anew in a run", &["driver/crash.rs::after_a_restart_of_the_host_a_person_is_asked"]),
    row(17, "the disk is full", &["no_record.rs::a_run_on_a_full_disk_stops_before_its_next_act_and_can_still_be_aborted", "journal/damage.rs::on_a_full_disk_nothing_begins_and_an_abort_is_still_recorded", "driver/crash.rs::a_journal_that_is_full_from_some_record_on_lets_nothing_happen"]),
    row(18, "a record cannot be made durable", &["driver/crash.rs::a_journal_that_refuses_one_record_stops_the_driver_until_it_has_read_it_again"]),
    row(19, "the journal is locked", &["journal/damage.rs::a_locked_journal_names_who_holds_it"]),
    row(20, "the journal is damaged", &["journal/damage.rs::no_random_damage_is_a_panic_or_a_silent_loss", "journal/damage.rs::a_file_that_was_cut_or_removed_is_never_taken_for_a_new_one"]),
    row(21, "the journal's server is away: nothing acts without a record, what happened meanwhile is kept", &["no_record.rs::a_run_whose_server_goes_away_waits_and_is_done_once_it_is_back", "driver/away.rs::what_happens_while_the_server_is_away_is_in_the_journal_when_it_is_back", "driver/away.rs::what_a_driver_kept_before_it_died_is_brought_back_by_the_next_one", "driver/away.rs::what_was_kept_and_came_too_late_is_said_and_changes_nothing", "driver/away.rs::an_outcome_whose_receipt_was_lost_is_not_written_twice", "journal/postgres.rs::postgresql_keeps_the_journal"]),
    row(22, "a writer is killed in a record", &["journal/process.rs::a_writer_that_is_killed_leaves_a_whole_chain_with_all_it_acknowledged"]),
    row(23, "the clock jumps", &["simulation.rs::runs_keep_the_seven_laws_in_a_hostile_world"]),
    row(24, "a journal of another version", &["journal/suite.rs::sqlite_keeps_the_journal", "engine/event.rs::an_event_of_a_newer_console_is_refused_not_guessed"]),
    row(25, "two people start the same", &["runs.rs::a_run_outlives_the_terminal_it_was_begun_in_and_keeps_its_service_to_itself", "driver/words.rs::of_two_drivers_one_drives_and_the_other_is_told_who", "engine/lease.rs::a_second_run_is_told_who_holds_the_target_and_since_when"]),
    row(26, "a lease of the dead, a driver that comes back", &["driver/words.rs::a_driver_that_was_replaced_falls_silent", "engine/lease.rs::a_silent_driver_is_replaced_and_then_fenced", "shell/driver/process.rs::a_process_is_known_by_number_and_start"]),
    row(27, "the world changed since the plan", &["driver/words.rs::facts_that_changed_since_the_plan_stop_the_run_before_it_acts", "runbook/tests.rs::a_newer_scene_shows_what_changed_and_the_runs_own_work_is_no_surprise", "runbook/tests.rs::the_same_three_make_the_same_plan_and_any_change_another"]),
    row(28, "approvals that count for nothing", &["driver/words.rs::who_asked_cannot_approve_and_another_person_can", "shell/driver/word.rs::two_people_are_two_users_and_two_logins", "driver/words.rs::a_word_that_was_heard_is_not_heard_again_by_the_next_driver"]),
    row(29, "somebody acts by hand meanwhile", &["steps.rs::a_container_that_somebody_made_anew_is_not_touched", "step/upstream.rs::a_file_of_another_hand_is_not_understood", "driver/words.rs::a_run_is_paused_between_steps_by_a_person_and_by_a_guard"]),
    row(30, "who somebody claims to be", &["shell/identity.rs::claims_come_from_the_environment_and_are_cleaned", "shell/identity.rs::the_name_is_the_one_of_the_number"]),
    row(31, "metrics are stale", &["metrics.rs::a_frozen_exporter_costs_its_own_figures_and_no_others", "probe/traffic/metrics.rs::a_frozen_replica_is_not_counted_and_never_green", "domain/health.rs::a_stale_reading_is_kept_but_never_good"]),
    row(32, "a counter begins anew", &["probe/traffic/window.rs::what_is_counted_never_exceeds_what_happened", "probe/traffic/window.rs::a_reset_counts_from_zero_and_is_seen"]),
    row(33, "numbers that are none", &["link/exposition.rs::numbers_that_are_none_are_kept_as_such", "domain/measure.rs::what_is_no_number_never_looks_like_one", "probe/traffic/metrics.rs::figures_that_are_none_count_for_nothing"]),
    row(34, "huge sets of labels", &["metrics.rs::an_exposition_of_200_mb_is_left_at_the_limit", "link/exposition.rs::series_beyond_the_limit_are_counted_not_kept", "link/exposition.rs::a_long_label_is_shown_cut"]),
    row(35, "two owners of a name, times of the future", &["probe/traffic/metrics.rs::two_owners_of_a_name_are_not_merged", "probe/traffic/metrics.rs::times_given_by_the_exporter_are_passed_over"]),
    row(36, "one byte a second", &["zoo.rs::a_dripping_server_ends_at_the_deadline_and_holds_up_nobody", "metrics.rs::an_answer_that_drips_is_silent_at_the_deadline"]),
    row(37, "headers without end", &["zoo.rs::a_header_of_10_mb_is_too_large_and_not_read_to_its_end", "zoo.rs::ten_thousand_headers_are_too_many"]),
    row(38, "compressed, endless and lying bodies", &["zoo.rs::a_compressed_body_is_counted_and_never_expanded", "zoo.rs::an_endless_body_is_cut_at_64_kb", "zoo.rs::a_content_length_that_lies_is_found"]),
    row(39, "redirects", &["zoo.rs::a_redirect_loop_ends", "zoo.rs::a_redirect_elsewhere_is_refused_and_nobody_else_is_asked", "zoo.rs::redirects_are_not_followed_unless_asked"]),
    row(40, "names do not resolve, or to other families", &["zoo.rs::a_name_that_does_not_resolve_is_a_fault_of_the_name", "link/dial.rs::a_name_that_does_not_resolve_is_no_host_that_is_down", "link/dial.rs::the_next_address_is_tried_when_the_first_refuses", "zoo.rs::a_server_with_ipv6_only_is_reached"]),
    row(41, "no TLS where TLS is due", &["zoo.rs::plain_http_on_a_tls_port_is_quoted", "zoo.rs::garbage_instead_of_tls_is_quoted_and_cleaned", "zoo.rs::a_handshake_that_never_ends_ends_after_5_s"]),
    row(42, "chains and names without end", &["zoo.rs::a_chain_of_over_64_kb_is_too_large", "zoo.rs::issuers_in_a_circle_come_to_an_end", "zoo.rs::thousands_of_names_are_counted", "zoo.rs::a_long_chain_is_shown_up_to_ten"]),
    row(43, "expired", &["zoo.rs::an_expired_certificate_is_bad_and_still_shown"]),
    row(44, "not yet valid", &["zoo.rs::a_certificate_of_tomorrow_is_bad"]),
    row(45, "wrong names", &["zoo.rs::a_wrong_name_is_bad_and_the_right_ones_are_listed", "link/x509.rs::names_match_as_rfc_6125_says"]),
    row(46, "weak keys and signatures", &["zoo.rs::weak_keys_and_signatures_are_poor"]),
    row(47, "addresses, common names, empty subjects", &["zoo.rs::an_address_is_matched_by_an_address_only", "zoo.rs::the_common_name_does_not_count", "zoo.rs::an_empty_subject_is_no_trouble"]),
    row(48, "no certificate, or one demanded of us", &["zoo.rs::a_server_without_a_certificate_is_no_verdict", "zoo.rs::a_demand_for_a_client_certificate_hides_nothing", "zoo.rs::without_roots_nothing_is_called_good_or_bad"]),
    row(49, "escape sequences in foreign text", &["pty/hostile.rs::hostile_text_from_every_source_is_shown_and_never_obeyed", "shell/terminal/encode.rs::nothing_that_steers_a_terminal_is_sent", "domain/text.rs::controls_are_shown_not_sent"]),
    row(50, "clipboard, title and reports", &["pty/hostile.rs::hostile_text_from_every_source_is_shown_and_never_obeyed", "pty/life.rs::the_clipboard_is_written_on_request_only"]),
    row(51, "late answers of the terminal", &["pty/keys.rs::a_late_answer_is_no_key", "pty/keys.rs::a_late_answer_torn_by_the_link_is_no_key", "shell/terminal/input/filter.rs::no_part_of_an_answer_is_a_key_wherever_it_is_torn"]),
    row(52, "sequences nobody can read", &["pty/keys.rs::an_answer_nobody_knows_does_not_lock_the_keyboard", "pty/keys.rs::half_a_sequence_does_not_lock_the_keyboard"]),
    row(53, "C1 and DEL in documents and tables", &["report/status.rs::hostile_text_in_every_field_acts_on_nothing", "report/status.rs::what_is_not_clean_would_still_be_escaped"]),
    row(54, "hidden and direction characters", &["domain/text.rs::hidden_and_direction_characters_are_named", "pty/hostile.rs::hostile_text_from_every_source_is_shown_and_never_obeyed"]),
    row(55, "wide letters and many marks", &["pty/hostile.rs::hostile_text_from_every_source_is_shown_and_never_obeyed", "shell/terminal/encode.rs::the_column_behind_any_text_is_right", "domain/text.rs::a_letter_carries_at_most_four_marks"]),
    row(56, "endless lines and floods of lines", &["pty/console.rs::ten_thousand_lines_a_second_hold_up_no_key", "link/docker/logs.rs::an_endless_line_is_cut_and_counted", "engine.rs::a_flood_of_lines_is_bounded_and_what_is_lost_is_said", "app/logs.rs::the_book_is_bounded_in_bytes_and_counts_what_it_forgets"]),
    row(57, "pastes", &["pty/keys.rs::a_paste_is_told_as_a_paste", "pty/keys.rs::letters_faster_than_a_person_are_told_as_a_paste", "pty/keys.rs::a_paste_without_an_end_does_not_lock_the_keyboard", "acting.rs::a_paste_never_confirms"]),
    row(58, "tiny and huge screens", &["pty/life.rs::every_size_is_drawn", "pty/console.rs::every_screen_is_drawn_at_every_size", "view.rs::no_size_panics_on_any_screen_or_overlay"]),
    row(59, "a storm of sizes", &["pty/life.rs::a_storm_of_sizes_ends_with_the_right_one"]),
    row(60, "terminals that can do little", &["pty/life.rs::a_terminal_that_cannot_show_a_screen_is_told_what_to_use", "pty/life.rs::a_pipe_is_told_what_to_use", "pty/life.rs::without_utf8_everything_is_ascii", "pty/life.rs::without_colour_no_colour_is_sent"]),
    row(61, "a configuration with mistakes", &["config/tests.rs::every_mistake_is_pointed_at_named_and_has_its_remedy", "config/tests.rs::all_problems_of_a_file_are_told_at_once_in_their_order", "cli.rs::problems_of_the_configuration_end_with_78_and_are_all_named_with_their_place"]),
    row(62, "a runbook that cannot be run", &["runbook/read.rs::a_step_knows_its_kind_and_its_fields", "runbook/read.rs::a_step_without_a_way_back_has_to_say_so_where_steps_are_undone", "runbook/read.rs::any_text_is_read_or_refused"]),
    row(63, "injection through words", &["link/process.rs::arguments_arrive_as_they_are_written", "link/process.rs::what_cannot_be_run_says_why", "probe/check/sql.rs::the_query_is_one_argument_whatever_it_holds", "probe/check/sql.rs::what_would_leave_plain_sql_is_refused", "runbook/tests.rs::a_value_is_what_it_seems_and_no_option", "runbook/tests.rs::an_alternative_in_a_pattern_does_not_open_its_end"]),
    row(64, "files that others may write", &["config/trust.rs::every_mode_and_owner_that_lets_others_write_is_named", "config/trust.rs::a_file_and_its_folder_are_looked_at_for_real"]),
    row(65, "the configuration changes in a run", &["runbook/tests.rs::the_same_three_make_the_same_plan_and_any_change_another", "driver/process.rs::a_driver_killed_after_each_step_is_replaced_and_the_run_is_done"]),
    row(66, "secrets in records and children", &["checks.rs::the_token_of_prometheus_is_in_no_record", "checks.rs::a_cookies_value_is_in_no_record", "link/process.rs::nothing_of_our_environment_is_handed_on", "step/notify.rs::no_fault_shows_the_address"]),
    row(67, "a journal that was edited, cut or written anew", &["journal/chain.rs::removal_exchange_and_a_forged_hash_name_the_first_bad_entry", "journal/chain.rs::a_cut_end_shows_only_against_an_anchor", "journal/chain.rs::a_chain_written_anew_differs_from_its_anchor", "no_record.rs::the_witness_is_told_the_head_of_every_run_and_shows_a_cut_end", "journal/process.rs::a_changed_byte_ends_with_two_and_names_the_entry"]),
];

/// All that this version answers for.
fn expected() -> Vec<u8> {
    (1..=67).collect()
}

#[test]
fn every_fault_has_its_row() {
    let rows: Vec<u8> = MATRIX.iter().map(|row| row.fault).collect();
    assert_eq!(rows, expected());
    for row in MATRIX {
        assert!(
            !row.shown_by.is_empty(),
            "F{:02} {} has no test",
            row.fault,
            row.what
        );
    }
}

#[test]
fn every_test_that_is_named_is_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for row in MATRIX {
        for test in row.shown_by {
            let (file, name) = test.split_once("::").unwrap();
            let text = ["tests/it", "src"]
                .iter()
                .find_map(|folder| fs::read_to_string(root.join(folder).join(file)).ok());
            let text = text.unwrap_or_else(|| panic!("F{:02}: no file {file}", row.fault));
            assert!(
                is_test(&text, name),
                "F{:02} {}: no test {test}",
                row.fault,
                row.what
            );
        }
    }
}

/// A function of this name that the harness runs: marked as a test, or inside `proptest!`.
fn is_test(text: &str, name: &str) -> bool {
    let Some(at) = text.find(&format!("fn {name}(")) else {
        return false;
    };
    let before = &text[..at];
    let head = before.rsplit("\n\n").next().unwrap_or_default();
    head.contains("#[test]") || head.contains("#[tokio::test")
}

#[test]
fn what_is_no_test_is_not_taken_for_one() {
    assert!(is_test("#[test]\nfn a_fact() {}", "a_fact"));
    assert!(!is_test("fn a_fact() {}", "a_fact"));
    assert!(!is_test(
        "#[test]\nfn other() {}\n\nfn a_fact() {}",
        "a_fact"
    ));
}

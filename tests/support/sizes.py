"""Which tests are slow, and how much of what is large they cover.

`make check` leaves the slow ones out, `make test` runs them at their base size, `make slow` at their full size.
"""

from __future__ import annotations

import os
from collections.abc import Iterable

FULL = os.environ.get("TESTS_FULL") == "1"
"""Whether this run has the full sizes. Read here and nowhere else."""

SLOW = (
    # random stories and schedules of faults, and processes that are really killed
    "simulation/",
    "stories/",
    "plan/test_agreement.py::test_all_reports_agree_over_worlds_with_errors_in_them",
    "plan/test_convergence.py",
    "plan/test_live_property.py",
    "stores/test_store_processes.py",
    # properties that play many files or worlds
    "desired/test_properties.py",
    "takeover/test_update.py::test_in_random_worlds_an_update_takes_over_what_came_later",
    "wrangler/test_jsonc.py::test_removing_all_bindings_one_by_one_keeps_everything_else",
    "wrangler/test_jsonc.py::test_replacing_changes_exactly_the_text_of_the_id",
    "wrangler/test_jsonc.py::test_setting_a_binding_changes_no_other_value",
    "wrangler/test_toml.py::test_removing_all_bindings_one_by_one_keeps_everything_else",
    "wrangler/test_toml.py::test_replacing_changes_exactly_the_text_of_the_id",
    "wrangler/test_toml.py::test_setting_a_binding_changes_no_other_value",
    "keys/test_keys.py::test_no_finding_contains_a_part_of_a_key",
    "plan/test_gates.py::test_nothing_that_a_gate_guards_is_uploaded_without_its_proofs",
    "reports/test_drift.py::test_in_random_worlds_drift_and_plan_agree",
    "syntax/test_jsonc_spans.py::test_every_value_is_at_its_span",
    "syntax/test_toml_spans.py::test_every_value_is_at_its_span",
    "takeover/test_takeover.py::test_taking_over_any_world_changes_nothing_and_leaves_nothing_out",
    "takeover/test_takeover.py::test_taking_over_twice_adds_nothing",
    "takeover/test_update.py::test_bindings_that_were_taken_out_are_added_again",
    "wrangler/test_jsonc.py::test_the_largest_file_is_edited",
    # large hostile files, and large matrices of hostile names and paths
    "cli/test_hostile.py",
    "cli/test_hostile_paths.py",
    "cli/test_hostile_state.py",
    "syntax/test_jsonc_spans.py::test_a_hostile_file_causes_no_backtracking",
    "syntax/test_toml_spans.py::test_a_hostile_text_causes_no_backtracking",
    "views/test_hostile_names.py",
    "cli/test_canaries.py::test_keys_in_the_environment_reach_no_output_and_no_file[json]",
    *(f"cli/test_pasted_lines.py::test_no_name_becomes_a_line_to_paste[{at}" for at in ("bound", "ID", "JSONC")),
    "runs/test_several.py::test_names_of_folders_do_nothing",
    *(
        f"views/test_html.py::test_no_name_acts_in_a_page[{report}-"
        for report in ("SavedPlan", "Plan1", "Applied", "Drift", "Forecast")
    ),
    *(
        f"views/test_stacks.py::test_no_name_of_a_file_or_a_stack_acts[{report}-"
        for report in ("Applied", "Drift", "Forecast", "RunFailure")
    ),
    # many stacks, certificates or values
    *(
        f"runs/test_several.py::test_the_list_of_an_account_is_read_once_for_all_of_its_stacks[{command}]"
        for command in ("status", "drift", "forecast")
    ),
    "runs/test_configs.py::test_the_values_of_all_wrangler_files_are_counted",
    "views/test_github.py::test_a_comment_fits_whatever_the_number_of_stacks[2000]",
    "views/test_html.py::test_a_thousand_certificates_are_a_page[1000]",
    "views/test_html.py::test_long_details_say_how_much_they_leave_out",
    "views/test_stacks.py::test_a_page_of_many_stacks_fits_a_comment",
    # whole runs against an account
    "runs/test_leaked_key.py",
    "emulator/test_faults.py::test_a_seed_does_the_same_each_time_and_comes_to_an_end",
    "emulator/test_recording.py",
    "project/test_components.py",
    "project/test_workflows.py::test_a_pipeline_is_what_its_schema_says[github-workflows",
    "project/test_workflows.py::test_a_pipeline_is_what_its_schema_says[gitlab",
    "project/test_workflows.py::test_what_is_installed_for_a_pipeline_imports_nothing_of_the_checkout",
    "project/test_pipelines.py",
    "records/test_saved_plans.py::test_a_tampered_plan_executes_nothing",
    "runs/test_check_live.py",
    "runs/test_replay.py",
    "runs/test_frugal.py",
    "runs/test_hostnames.py",
    "runs/test_hyperdrive.py",
    "runs/test_hyperdrive_database.py",
    "runs/test_rare_deploys.py",
    "runs/test_renew_with_vault.py",
    "stores/test_cloudflare_calls.py",
    "stores/test_cloudflare_http.py::test_the_log_of_calls_shows_no_secret",
    "takeover/test_takeover.py::test_whatever_is_made_fit_is_taken_by_mtls_toml",
    "wrangler/test_remote.py::test_in_any_layout_remote_changes_only_its_binding",
    # real wrangler, workerd, npm, TLS servers, PostgreSQL, a browser, sops and age
    "apply/test_deploy_wrangler.py",
    "runs/test_guard_wrangler.py",
    "apply/test_gate_at_origin.py",
    "emulator/test_wrangler.py",
    "keys/test_aws.py",
    "keys/test_age.py::test_what_the_real_age_encrypted_is_read",
    "keys/test_sinks.py::test_a_killed_write_leaves_no_slot_and_the_next_one_tidies_up",
    "keys/test_sinks_in_runs.py",
    "keys/test_sops.py::test_the_file_of_the_real_sops_needs_no_sops",
    "keys/test_sops.py::test_the_real_sops_gives_the_key",
    "keys/test_sops.py::test_the_wrong_age_key_changes_nothing",
    "keys/test_sops_without_sops.py",
    "keys/test_sources_watched.py",
    "keys/test_stdin.py::test_without_a_pipe_there_is_no_key",
    "postgres/",
    "probe/test_probe_servers.py",
    "runs/test_dev.py",
    "runs/test_renew_places.py",
    "runs/test_verify.py::test_wrangler_is_asked_what_it_would_deploy",
    "runtime/test_reach.py",
    "syntax/test_jsonc_spans.py::test_an_accepted_text_has_the_values_that_another_parser_reads",
    "views/test_html_in_a_browser.py",
    "wrangler/test_readers.py",
    "x509/test_origin_verdicts.py",
    # whole programs
    "cli/test_cli.py::test_a_full_disk_is_no_bug_where_output_is_not_buffered",
    "cli/test_cli.py::test_at_a_terminal_apply_asks_and_yes_goes_on",
    "cli/test_cli.py::test_at_a_terminal_no_changes_nothing_and_ends_with_1",
    "cli/test_cli.py::test_a_stream_that_can_not_hold_a_sign_is_no_bug",
    "cli/test_terminal.py",
    "desired/test_problems.py::test_only_a_required_version_costs_its_import",
    "runs/test_init.py::test_an_answer_that_is_none_is_asked_for_again",
    "runs/test_init.py::test_at_a_terminal_it_asks_little_and_explains_itself",
    "runs/test_init.py::test_no_answer_writes_nothing",
    "runs/test_init.py::test_what_the_command_line_says_is_not_asked",
    "runtime/test_deploying.py::test_what_leads_the_token_is_settled_before_wrangler_reads_an_env_file",
    "views/test_table.py::test_text_needs_no_json_document_and_json_no_text",
    "cli/test_cli.py::test_odd_streams_and_folders_are_no_bugs",
    "cli/test_complete.py::test_bash_completes",
    "emulator/test_command.py::test_it_serves_until_ctrl_c",
    "runs/test_verify.py::test_at_a_terminal_a_person_is_asked",
    "runs/test_verify.py::test_nobody_is_asked_where_the_answer_makes_no_difference",
    "runs/test_verify.py::test_a_worker_that_wrangler_can_not_make_leaves_it_open",
    "runtime/test_children.py",
    "views/test_prometheus.py::test_promtool_agrees_with_the_rules_and_their_tests",
    "issuers/test_step_ca.py",
    "project/test_bench.py",
    "project/test_examples.py",
    "project/test_package.py",
    "project/test_pages.py::test_the_commands_of_a_page_work",
)
"""Folders, files and single tests, in tests/: what takes long. Of parameters, the begin of an id will do."""


_SLOW_IDS = tuple(f"tests/{place}" for place in SLOW)


def is_slow(node_id: str) -> bool:
    """Whether a test is left out of `make check`, by its pytest node id."""
    return node_id.startswith(_SLOW_IDS)


def sampled(names: Iterable[str]) -> tuple[str, ...]:
    """Every fourth row of a large matrix; all of them at the full size."""
    return tuple(names)[:: size(4, 1)]


def size(base: int, full: int) -> int:
    """How many of `full` examples this run plays: all of them, or `base`."""
    return full if FULL else base

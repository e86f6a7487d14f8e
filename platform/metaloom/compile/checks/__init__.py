"""What must hold beyond shape and types: a tuple of small functions, each one thought.

A check of documents sees the effective document before anything is looked up; a check of the catalog sees the finished values
and, for positions, the documents they came from.
"""

from metaloom.compile.checks import (
                       access,
                       actions,
                       chains,
                       dashboards,
                       entities,
                       fields,
                       jobs,
                       ledger,
                       lifecycles,
                       messages,
                       names,
                       packs,
                       prints,
                       processes,
                       screens,
                       telling,
                       warnings,
)

CHECKS_OF_DOCUMENTS = (packs.packs_are_whole, packs.entity_folders_are_whole, packs.dependencies_are_met, packs.tenant_packs_exist,
                       packs.tenant_settings_make_sense, packs.nobody_poses_as_the_engine, packs.quotas)

CHECKS = (
    names.names_are_not_reserved, names.columns_do_not_collide, names.tables_do_not_collide,
    entities.ownership_is_one_of_four, entities.scope_leads_home, entities.children_and_parents_agree, entities.children_form_no_circle,
    entities.named_fields_exist, entities.engine_tables_are_the_engines, entities.links_checked_in_sets_stay,
    entities.related_point_back, entities.renames_are_possible,
    fields.attributes_fit_the_type, fields.attributes_do_not_contradict, fields.search_fits_storage, fields.patterns_are_safe,
    fields.computed_values_form_no_circle,
    lifecycles.state_fields_and_lifecycles_pair, lifecycles.states_are_reachable, lifecycles.final_means_final, lifecycles.transitions_are_fired,
    actions.inputs_are_enterable, actions.makers_are_people, actions.commands_lock_fixed_links,
    chains.steps_are_whole, chains.forks_go_somewhere, chains.deciders_exist, chains.returns_go_back, chains.votes_and_limits_count,
    chains.makers_are_people, chains.sub_chains_exist, chains.step_fields_fit, chains.protected_records_keep_four_eyes, chains.chains_are_started,
    processes.process_steps_are_whole, processes.process_ways_lead_on, processes.process_results_exist_before_use,
    processes.processes_are_started, processes.process_people_may_read,
    screens.list_paths_exist, screens.boards_have_columns, screens.calendars_have_days, screens.list_actions_exist, screens.form_fields_fit,
    screens.menus_lead_somewhere, screens.quick_links_lead_somewhere,
    access.granted_actions_exist, access.field_levels_name_fields, access.scopes_fit_ownership, access.grants_keep_promises,
    access.somebody_may_list, access.formulas_keep_secrets,
    ledger.series_count, ledger.accounts_exist, ledger.accounts_close, ledger.legs_can_balance, ledger.rules_are_reachable,
    ledger.conditions_have_types,
    jobs.schedules_come, jobs.actions_exist,
    messages.messages_speak_of_known_names,
    telling.templates_speak_of_known_fields, telling.steps_tell_what_they_can, telling.texts_of_steps_speak_of_known_fields,
    telling.webhooks_name_what_there_is,
    prints.prints_name_what_there_is,
    warnings.rules_have_where_to_write, warnings.subjects_tell_no_secret, warnings.receivers_are_people, warnings.levels_can_be_reached,
    warnings.escalation_goes_up, warnings.measures_exist, warnings.receivers_can_be_told, warnings.offers_can_be_taken,
    warnings.alerts_are_the_engines,
    dashboards.widgets_are_whole, dashboards.widgets_speak_of_what_can_be_reckoned, dashboards.people_may_read_what_they_see,
)

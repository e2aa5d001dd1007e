-- What a comparison reads of each trial of the study $study.
SELECT
    imported_from, machine_id, machine, cpu_model, model, task, batch_size, threads, threads_asked, dtype,
    environment, regime, isolation, weights_source, protocol, block, "round", passes, items, status, reason,
    coalesce(marks, []) AS marks, started_at, boot_id, libraries_digest, window_s, cpu_seconds, cpu_percent,
    work_peak_bytes, mean_rss_bytes, energy_j, energy_scope, energy_package_j, energy_source, energy_provenance,
    energy_reason, sysfs_root, energy_modelled_j, modelled_formula, energy_reported_j, reported_by,
    quality, quality_reason,
    -- Of other tools' trials: the levels of their factors, which are labels here.
    CASE WHEN imported_from IS NOT NULL THEN list_aggregate(
        list_sort(list_transform(
            list_filter(map_entries(labels), lambda label: label.key NOT IN ('folder', 'run')),
            lambda label: label.key || ' ' || label.value
        )), 'string_agg', ', '
    ) END AS imported_levels
FROM trials
WHERE study = $study
ORDER BY machine_id, block, position

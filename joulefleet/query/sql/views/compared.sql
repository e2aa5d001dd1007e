-- The columns of the trials of study $study that a comparison reads.
SELECT
    imported_from, machine_id, machine, cpu_model, model, task, batch_size, threads, threads_asked, dtype,
    environment, regime, isolation, weights_source, protocol, block, "round", passes, items, status, reason,
    coalesce(flags, []) AS flags, started_at, boot_id, libraries_digest, window_s, cpu_seconds, cpu_percent,
    work_peak_bytes, mean_rss_bytes, energy_j, energy_scope, energy_package_j, energy_source, energy_provenance,
    energy_reason, sysfs_root, energy_modelled_j, modelled_formula, energy_reported_j, reported_by,
    quality, quality_reason,
    -- Factors of imported trials are stored as labels.
    CASE WHEN imported_from IS NOT NULL THEN map_entries(labels) END AS imported_labels
FROM trials
WHERE study = $study
ORDER BY machine_id, block, position

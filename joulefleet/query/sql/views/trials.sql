-- One row for each trial: its accepted attempt. All joules come from counters, except energy_modelled_j;
-- energy_provenance says whether the counters were those of the machine (measured) or simulated.
WITH based AS (
    SELECT
        *,
        -- Idle power depends on machine and time; the baseline of one trial is too short to be precise.
        sum(baseline_j) FILTER (idle_known) OVER same_idle
            / nullif(sum(baseline_s) FILTER (idle_known) OVER same_idle, 0) AS baseline_w
    FROM (
        SELECT *, status = 'ok' AND baseline_j IS NOT NULL AND baseline_s IS NOT NULL AS idle_known
        FROM internal.accepted
    )
    WINDOW same_idle AS (
        PARTITION BY study, machine_id, block, "round", energy_scope, energy_source, energy_provenance
    )
)
SELECT
    -- which trial
    study, imported_from, trial_id, attempt_id, attempt, "round", kind, place, protocol,
    -- where
    machine, machine_id, cpu_model, sockets, physical_cores, logical_cpus, memory_bytes, virtualised,
    environment, environment_id, runtime, engine, image, kernel, kernel_command_line, os, microcode,
    governor, turbo, smt, frequency_min_mhz, frequency_max_mhz, numa_nodes, energy_filter,
    swap_bytes,
    cgroup_cpu_limit, cgroup_memory_limit_bytes, blas, md5(CAST(libraries AS VARCHAR)) AS libraries_digest,
    -- what
    model, task, batch_size, threads, threads_requested, dtype, regime, isolation, weights_source,
    weights_digest, parameters, model_class, attention, labels,
    -- when
    repetition, block, position, predecessor, assignment, comparison_group, comparison_group_size, started_at, boot_id,
    -- how it ended
    status, reason, message, stderr_tail, flags,
    -- work and time
    wall_s, window_s, work_s, passes, item_repeats, items, tokens, padded_tokens,
    items / nullif(window_s, 0) AS items_per_s,
    tokens / nullif(window_s, 0) AS tokens_per_s,
    latency_p50_s, latency_p90_s, latency_p99_s, load_s,
    -- energy
    energy_j,
    energy_j - baseline_w * window_s AS energy_net_j,
    energy_scope, energy_package_j, energy_source, energy_provenance, energy_reason, sysfs_root,
    energy_modelled_j, modelled_formula, energy_reported_j, reported_by, energy_repair,
    energy_j / nullif(items, 0) AS j_per_item,
    energy_j / nullif(tokens, 0) AS j_per_token,
    baseline_s, baseline_j, baseline_w, load_energy_j,
    -- CPU
    cpu_percent, cpu_seconds, observer_cpu_s, foreign_cpu_s, steal_s,
    cgroup_cpu_s, cgroup_throttled_s, cgroup_peak_bytes,
    -- how the machine was
    temperature_baseline_c, temperature_max_c, frequency_mean_mhz, frequency_min_mhz_seen, throttle_events,
    pressure_cpu_s, pressure_memory_s, pressure_io_s,
    -- memory
    base_rss_bytes, base_anon_bytes, base_file_bytes, peak_rss_bytes, peak_anon_bytes, peak_file_bytes,
    mean_rss_bytes, work_peak_bytes, pss_bytes, uss_bytes,
    -- how it took effect
    log_bytes, nice, oom_score_adj, omp_num_threads, "privileges",
    -- quality
    quality, quality_metric, quality_reason,
    schema_version
FROM based

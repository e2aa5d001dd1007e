-- Each environment record. Equal ids are equal environments.
SELECT
    environment_id, environment,
    any_value(runtime) AS runtime, any_value(engine) AS engine, any_value(image) AS image,
    any_value(kernel) AS kernel, any_value(kernel_command_line) AS kernel_command_line, any_value(os) AS os,
    any_value(microcode) AS microcode, any_value(governor) AS governor,
    any_value(turbo) AS turbo, any_value(smt) AS smt,
    any_value(frequency_min_mhz) AS frequency_min_mhz, any_value(frequency_max_mhz) AS frequency_max_mhz,
    any_value(numa_nodes) AS numa_nodes, any_value(energy_filter) AS energy_filter, any_value(swap_bytes) AS swap_bytes,
    any_value(cgroup_cpu_limit) AS cgroup_cpu_limit,
    any_value(cgroup_memory_limit_bytes) AS cgroup_memory_limit_bytes,
    any_value(blas) AS blas, any_value(libraries) AS libraries,
    count(DISTINCT machine_id) AS machines, count(*) AS attempts
FROM attempts
WHERE environment_id IS NOT NULL
GROUP BY environment_id, environment

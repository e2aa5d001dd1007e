-- Every attempt as it was committed, trials and pilots alike. An attempt that was compacted counts once.
SELECT * REPLACE (
    -- Rows of version 1 called every counter's joules measured.
    CASE WHEN schema_version = 1 AND energy_j IS NOT NULL THEN 'measured' ELSE energy_provenance END
    AS energy_provenance
)
FROM (
    SELECT * FROM internal.loose
    UNION ALL
    SELECT * FROM internal.compacted
)

-- A row in the store says what it said in the outbox, compacted or not.
SELECT seen.attempt_id, kept.file
FROM seen JOIN (FROM loose UNION ALL FROM compacted) AS kept USING (attempt_id)
WHERE seen.content <> kept.content

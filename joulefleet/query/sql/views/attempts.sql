-- Every attempt as it was committed, trials and pilots. A compacted attempt counts once.
SELECT * FROM internal.loose
UNION ALL
SELECT * FROM internal.compacted

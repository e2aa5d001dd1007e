-- Every file that counts can be read, holds what its name says, and one attempt where it is loose.
SELECT file, why FROM unreadable
UNION ALL
SELECT file, 'is named otherwise' FROM loose WHERE NOT contains(file, concat('/', attempt_id, '.parquet'))
UNION ALL
SELECT file, concat('holds ', count(*), ' attempts') FROM loose GROUP BY ALL HAVING count(*) > 1

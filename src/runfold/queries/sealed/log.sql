-- name: sealed log
-- How the present tree of a tenant stands, and how far sealing is in all.
SELECT l.origin, l.generation, l.size, l.begun_at, l.previous_note, l.reason, p.position, p.sealed_at,
       (SELECT count(*) FROM runfold.seal_alarms AS a WHERE a.tenant_id = %b),
       (SELECT a.fact FROM runfold.seal_alarms AS a WHERE a.tenant_id = %b ORDER BY a.kind, a.position LIMIT 1)
  FROM runfold.sealed_position AS p
  LEFT JOIN LATERAL (SELECT g.origin, g.generation, g.size, g.begun_at, g.previous_note, g.reason
                       FROM runfold.sealed_logs AS g
                      WHERE g.tenant_id = %b
                      ORDER BY g.generation DESC
                      LIMIT 1) AS l ON true

-- name: checkpoint
-- The last checkpoint of a tenant.
SELECT l.origin, c.size, c.position, c.root, c.map_root, c.sealed_at, c.note
  FROM (SELECT g.origin, g.generation
          FROM runfold.sealed_logs AS g
         WHERE g.tenant_id = %b
         ORDER BY g.generation DESC
         LIMIT 1) AS l
 CROSS JOIN LATERAL (SELECT s.size, s.position, s.root, s.map_root, s.sealed_at, s.note || coalesce((SELECT string_agg(w.lines, '' ORDER BY w.witness)
                                       FROM runfold.seal_witnesses AS w
                                      WHERE w.tenant_id = s.tenant_id
                                        AND w.generation = s.generation
                                        AND w.size = s.size
                                        AND w.has_map = s.has_map), '') AS note
                       FROM runfold.sealed_checkpoints AS s
                      WHERE s.tenant_id = %b
                        AND s.generation = l.generation
                      ORDER BY s.size DESC, s.has_map DESC
                      LIMIT 1) AS c

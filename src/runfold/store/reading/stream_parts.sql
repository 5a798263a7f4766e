-- name: parts of streams
-- The first events of each of some parts of streams, one part after the other, up to the event with which they are so many bytes.
SELECT place, {columns}
  FROM (SELECT e.*, sum(octet_length(e.state)) OVER (ORDER BY e.place, e.originator_version) - octet_length(e.state) AS bytes_before
          FROM (SELECT asked.place, part.*
                  FROM unnest(%b::text[], %b::bigint[], %b::bigint[], %b::bigint[]) WITH ORDINALITY
                       AS asked (stream, after_version, up_to_version, up_to, place)
                 CROSS JOIN LATERAL (SELECT log.*
                                       FROM runfold.log
                                      WHERE log.originator_id = asked.stream
                                        AND log.tenant_id = %b
                                        AND log.originator_version > asked.after_version
                                        AND log.originator_version <= asked.up_to_version
                                        AND (log.notification_id <= asked.up_to) IS TRUE {of_types}
                                      ORDER BY log.originator_version
                                      LIMIT %b) AS part) AS e) AS e
 WHERE bytes_before < {most_bytes}
 ORDER BY place, originator_version

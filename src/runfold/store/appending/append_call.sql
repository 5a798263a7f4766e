-- name: event type
-- The number of the type of new events, which is another in each database.
SELECT 'runfold.new_event'::regtype::oid

-- name: append
-- Append a batch of events, or tell which streams are not where it expected them.
SELECT first_position, recorded_at, conflicts, actual_versions, conflicting_tenants
  FROM runfold.append_events($1::runfold.new_event[], $2::bytea, $3::text[], $4::bigint[], $5::text[])

-- name: append after
-- Do the same just where an event that was sent before is stored: by its id, and by its salt, which is another at each try.
SELECT CASE
       WHEN EXISTS (SELECT FROM runfold.log AS e WHERE e.event_id = $6::uuid AND e.salt = $7::bytea)
       THEN runfold.append_events($1::runfold.new_event[], $2::bytea, $3::text[], $4::bigint[], $5::text[])
       END

-- name: append groups
-- Append a batch of events that have much in common, which is said once.
SELECT first_position, recorded_at, conflicts, actual_versions, conflicting_tenants
  FROM runfold.append_events_in_groups(
           $1::text[], $2::text[], $3::smallint[], $4::text[], $5::text[], $6::text[], $7::jsonb[], $8::jsonb[],
           $9::int[], $10::bigint[], $11::bytea[], $12::uuid[], $13::bytea, $14::text[], $15::bigint[], $16::text[])

-- name: append groups after
-- Do the same just where an event that was sent before is stored, as `append after` does.
SELECT CASE
       WHEN EXISTS (SELECT FROM runfold.log AS e WHERE e.event_id = $17::uuid AND e.salt = $18::bytea)
       THEN runfold.append_events_in_groups(
                $1::text[], $2::text[], $3::smallint[], $4::text[], $5::text[], $6::text[], $7::jsonb[], $8::jsonb[],
                $9::int[], $10::bigint[], $11::bytea[], $12::uuid[], $13::bytea, $14::text[], $15::bigint[], $16::text[])
       END

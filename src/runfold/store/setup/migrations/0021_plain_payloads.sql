-- Payloads are no longer compressed: that took 100 µs for one of 11 kB, while nobody else could append. Where the disk is dear,
-- let its file system compress. Runs as runfold_owner, step by step (see migrate.py). What is stored stays as it is, and reads
-- alike.

-- step: store payloads as they are
ALTER TABLE runfold.log ALTER COLUMN state SET STORAGE EXTERNAL;

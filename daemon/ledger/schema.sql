-- The record of jobs: the same tables in the ledger and in every archive file.
-- Version 6, kept in `pragma user_version`; 1 had no hashes above 32 bits in `lookup`, 2 no `fresh`
-- in the ledger, 3 no runs there and no parts below 0, 4 nothing compressed in `outbox`,
-- 5 `fresh` with first rows alone and no `young`.

create table job (
    seq integer primary key,            -- in the order of taking
    id text not null,
    digest blob not null,               -- of the content: a repeat with another one is an error
    topic text not null,
    partition integer not null,
    "offset" integer not null,
    produced real not null,             -- seconds since 1970
    received real not null,
    body blob not null
) strict;

create table message (
    mid integer primary key,            -- seq << 10 | index
    "to" text not null,
    route text not null,
    lane integer not null,
    account text,
    state integer not null,
    final integer not null,
    wake real,                          -- when somebody has to look at it again
    life blob not null,
    changed integer not null            -- second of the last commit that wrote it
) strict;

-- Clustered by message: carrier ids come in the order of sending, so this appends.  A part below 0
-- is 0 of that message and of so many behind it: of members of a list, each with its recipient.
create table carrier_id (
    mid integer not null,
    part integer not null,
    account text not null,
    key blob not null,
    primary key (mid, part, account, key)
) strict, without rowid;

-- What a job id, a number and a carrier id lead to, by their CRC-32 (rows.py); whoever looks verifies.
-- ref is a message's mid, or seq << 10 | 1023 for a job.  In archives keys gather in `recent` and
-- move over sorted, thousands at a time; the newer ones stand behind the others, with 2^32 added
-- (keys.py).  In the ledger they come from runs, a million at a time (runs.py).
create table lookup (
    hash integer not null,
    ref integer not null,
    primary key (hash, ref)
) strict, without rowid;

create table recent (
    hash integer not null,
    ref integer not null
) strict;

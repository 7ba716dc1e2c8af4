-- What only the ledger has, beside the record of schema.sql.

-- Messages that wait in a queue (state below 4): queues are refilled from here.  One entry while
-- a message waits; at the end of a lane's range, so in few pages.
create index message_waiting on message (route, lane, state) where state < 4;

-- Deadlines: one entry per unfinished message that has one, nearly in order of time.
create index message_wake on message (wake) where final = 0 and wake is not null;

-- Rows of young messages, which have none in `message` yet; one that is there counts (young.py).
create table young (
    n integer primary key,              -- in the order of commits: of a message the last counts
    lowest integer not null,            -- of its mids
    highest integer not null,
    changed integer not null,
    rows blob not null                  -- their columns but for `changed`, MessagePack
) strict;

-- Keys of the last commits, a row each: see runs.py for what is in these octets.
create table gathered (
    n integer primary key,
    hashes blob not null,
    refs blob not null
) strict;

-- Keys by run and the first octet of their hash.
create table run (
    n integer primary key,              -- the run's number << 8 | that octet
    hashes blob not null,
    refs blob not null
) strict;

create table claim (
    id integer primary key,
    at real not null,
    mids blob not null
) strict;

-- One row per commit that had events, all of them packed (events.py).
create table outbox (
    n integer primary key,
    events blob not null
) strict;

create table keep (
    kind text not null,
    key blob not null,
    at real not null,
    value blob not null,
    primary key (kind, key)
) strict, without rowid;

-- Ids of jobs whose archive was dropped before the ids were to be forgotten.
create table used (
    id text primary key,
    digest blob not null,
    until real not null
) strict, without rowid;

create index used_until on used (until);

create table counter (
    name text primary key,
    value integer not null
) strict, without rowid;

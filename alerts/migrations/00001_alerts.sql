-- Times are Unix milliseconds, UTC.

-- +goose Up
CREATE TABLE alerts_rules (
    id      TEXT PRIMARY KEY,
    body    TEXT NOT NULL, -- the rule as JSON
    created BIGINT NOT NULL
);

CREATE TABLE alerts_alarms (
    id        TEXT PRIMARY KEY, -- from (rule, subject, started)
    rule      TEXT NOT NULL,    -- stays when the rule is deleted
    title     TEXT NOT NULL,
    metric    TEXT NOT NULL,
    unit      TEXT NOT NULL,
    subject   TEXT NOT NULL,
    state     TEXT NOT NULL CHECK (state IN ('active', 'acknowledged', 'returned', 'closed')),
    priority  TEXT NOT NULL CHECK (priority IN ('low', 'medium', 'high', 'urgent')),
    started   BIGINT NOT NULL, -- phenomenon time at which the condition began to hold
    raised    BIGINT NOT NULL,
    changed   BIGINT NOT NULL,
    value     DOUBLE PRECISION NOT NULL,
    threshold DOUBLE PRECISION NOT NULL,
    lon       DOUBLE PRECISION,
    lat       DOUBLE PRECISION,
    assignee  TEXT NOT NULL,
    agency    TEXT NOT NULL
);
-- A subject has at most one open alarm of a rule.
CREATE UNIQUE INDEX alerts_alarms_open ON alerts_alarms (rule, subject) WHERE state <> 'closed';
CREATE INDEX alerts_alarms_raised ON alerts_alarms (raised, id);

CREATE TABLE alerts_journal (
    seq     BIGINT PRIMARY KEY, -- dense, from 1
    alarm   TEXT NOT NULL REFERENCES alerts_alarms (id),
    type    TEXT NOT NULL,
    at      BIGINT NOT NULL,
    actor   TEXT NOT NULL,
    comment TEXT NOT NULL,
    body    TEXT NOT NULL -- the alarm as it was then, as JSON
);
CREATE INDEX alerts_journal_alarm ON alerts_journal (alarm, seq);

-- What the engine has made of the telemetry log. A position is a record's seq
-- and which observation of it, 2147483647 being the whole record.

-- +goose Up
-- The position at which an alarm was last raised or returned by judging.
ALTER TABLE alerts_alarms ADD COLUMN log_seq BIGINT NOT NULL DEFAULT 0;
ALTER TABLE alerts_alarms ADD COLUMN log_nth BIGINT NOT NULL DEFAULT 0;
CREATE INDEX alerts_alarms_log ON alerts_alarms (log_seq);
-- The record after which the rule began to judge.
ALTER TABLE alerts_rules ADD COLUMN log_seq BIGINT NOT NULL DEFAULT 0;

-- The checkpoint: all that follows from the records up to seq is recorded.
CREATE TABLE alerts_place (
    one   BIGINT PRIMARY KEY CHECK (one = 1),
    seq   BIGINT NOT NULL,
    clock BIGINT NOT NULL -- our time when that record came
);
-- What the rules wait for, as it stood at the checkpoint.
CREATE TABLE alerts_waits (
    rule    TEXT NOT NULL,
    subject TEXT NOT NULL,
    since   BIGINT NOT NULL, -- phenomenon time since which the awaited limit holds; 0: it does not
    at      BIGINT NOT NULL, -- newest phenomenon time judged
    heard   BIGINT NOT NULL, -- newest phenomenon time heard
    value   DOUBLE PRECISION NOT NULL,
    PRIMARY KEY (rule, subject)
);

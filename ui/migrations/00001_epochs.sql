-- +goose Up
-- The epoch of a log topic of /live: a client that holds a seq of this epoch is
-- answered with what it missed, across restarts. A new data folder has a new one.
CREATE TABLE ui_epochs (
    topic TEXT PRIMARY KEY,
    ep    TEXT NOT NULL
);

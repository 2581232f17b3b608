-- +goose Up
CREATE TABLE devices (
    id          TEXT PRIMARY KEY,
    name        TEXT NOT NULL,
    kind        TEXT NOT NULL,
    lon         DOUBLE PRECISION,
    lat         DOUBLE PRECISION,
    parent      TEXT REFERENCES devices (id) ON DELETE SET NULL,
    agency      TEXT NOT NULL,
    public      BIGINT NOT NULL,
    maintenance BIGINT NOT NULL,
    tags        TEXT NOT NULL, -- JSON array of strings
    metrics     TEXT NOT NULL, -- JSON array of {metric, every_s}
    attributes  TEXT NOT NULL, -- JSON object, last told by the device
    created     BIGINT NOT NULL, -- Unix ms, UTC
    secret      TEXT NOT NULL -- SHA-256 of the password, hex
);
CREATE INDEX devices_parent ON devices (parent);

-- +goose Down
DROP TABLE devices;
